"""Studies: their files, their plan, and what is refused before anything is written."""

import dataclasses
import itertools
import pathlib
import sys

import jax
import pytest
from flax import nnx

from hdlif_jax.commands import study
from hdlif_jax.commands.config import TrainConfig, to_dict
from hdlif_jax.commands.make import make_model
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.studies import STUDIES, Study, Variant, read_study
from hdlif_jax.commands.support.check_runs import check_all
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import PARTIAL, write_json
from hdlif_jax.commands.support.runs import input_spec
from hdlif_jax.commands.support.stages import first_config

TWO = Study("Which?", {"lif": Variant("digits", {"model.neuron": "lif"}), "hd-lif": Variant("digits")}, (0, 1, 2))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_configuration_for_every_run(name):
    known = STUDIES[name]
    for scale in known.scales:
        for variant in known.variants:
            for seed in known.seeds:
                config = known.config(variant, scale, seed)
                assert isinstance(config, TrainConfig)
                assert config.seed == seed


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "table1" else name for name in STUDIES]
)
def test_every_network_of_a_small_budget_can_be_built(name):
    """On shapes alone, with what comes first."""
    known = STUDIES[name]
    scale = "cpu" if "cpu" in known.scales else next(iter(known.scales))
    configs = [known.config(variant, scale, 0) for variant in known.variants]
    configs += [first_config(config) for config in configs if config.first.preset is not None]
    built = set()
    for config in configs:
        spec = input_spec(config)
        if (config.model, spec) not in built:
            model = nnx.eval_shape(lambda: make_model(config.model, spec.shape, spec.num_classes, 0))  # noqa: B023
            assert model.num_steps == config.model.num_steps
            built.add((config.model, spec))
        if scale == "cpu" and name != "quick":
            assert config.model.width == 16
            assert config.epochs == 8


def test_table_1_has_the_systems_before_it_and_each_is_compared_within_its_dataset():
    variants = STUDIES["table1"].variants
    papers = [PRESETS[variant.preset].paper for variant in variants.values()]
    assert len(papers) == 30
    assert all(paper.source.startswith("Table 1") and paper.accuracy is not None for paper in papers)
    datasets = [PRESETS[name].config.data.name for name in variants]
    assert len(set(datasets)) == 5
    firsts = [name for index, name in enumerate(variants) if datasets.index(datasets[index]) == index]
    assert all(PRESETS[name].config.model.neuron in ("hd-lif", "mem-bn") for name in firsts)
    at_once = [STUDIES["table1"].config(name, "cpu", 0) for name in variants]
    assert max(config.learning.stbp_segment or config.model.num_steps for config in at_once) <= 16
    assert sum(before != after for before, after in itertools.pairwise(datasets)) == 4  # together, row by row


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants:\n  a: {preset: digits}\nseed: [0]", "unknown seed; a study has"),
        ("description: nothing", "variants are missing"),
        ("variants: {a: digits}", "variant a is 'digits'; give preset"),
        ("variants:\n  a: {preset: digitz}", "unknown preset 'digitz'; did you mean digits"),
        ("variants:\n  'a b': {preset: digits}", "variant 'a b' names a folder"),
        ("variants:\n  a: {preset: digits}\nseeds: [0, 0]", "name one twice"),
        ("variants:\n  a: {preset: digits, fields: [1]}", "variant a has fields [1]; give names with values"),
        ("variants:\n  a: {preset: digits, fields: {1: 3}}", "variant a has fields {1: 3}; give names with values"),
        ("variants:\n  a: {preset: digits, fields: {seed: 3}}", "variant a has the field seed, which is decided by"),
        ("variants:\n  a: {preset: digits}\nscales: {b: {preset: lif}}", "scale b has the field preset, which is"),
        ("variants:\n  a: {preset: digits}\nscales: {b: 3}", "scale b has fields 3; give names with values"),
        ("variants:\n  a: {preset: digits}\nseeds: 3", "seeds=3 must be a tuple, e.g. (0, 1, 2)"),
        ("variants:\n  a: {preset: digits}\nseeds: [-1]", "must be in 0"),
        ("- a", "is no study; expected description and variants"),
        ("variants: [", "is not valid YAML"),
    ],
)
def test_what_is_no_study_is_one_line(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(CommandError) as caught:
        read_study(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_field_that_does_not_exist_names_its_variant():
    with pytest.raises(ValueError, match=r"variant a: there is no field model.breadth"):
        Study("", {"a": Variant("digits", {"model.breadth": 3})}).config("a", "full", 0)


def test_a_study_from_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("variants:\n  a: {preset: digits, fields: {model.widths: [4, 8]}}\nscales: {cpu: {epochs: 2}}")
    config = read_study(file).config("a", "cpu", 5)
    assert (config.model.widths, config.epochs, config.seed) == ((4, 8), 2, 5)
    file.write_text("variants:\n  a: {preset: digits}\nscales: {16: , 8: {epochs: 2}}")
    assert read_study(file).scales == {"16": {}, "8": {"epochs": 2}}


def test_jobs_share_the_runs_and_the_last_to_end_writes_the_table(tmp_path, monkeypatch, capsys):
    done, out = [], tmp_path / "out"
    monkeypatch.setattr(study, "check_runs", lambda planned: None)
    monkeypatch.setattr(study, "do_all", lambda planned, work, is_done: done.extend(planned))
    monkeypatch.setattr(study, "is_whole", lambda path, needs_proof: path in [run.path for run in done])
    monkeypatch.setattr(study, "write_results", lambda out, *rest: (out / "study.md").write_text("the table"))
    for job, said in ((2, "4 of 6 runs are other jobs'"), (1, "2 of 6 runs are other jobs'"), (3, "the table")):
        words = ["quick", "--out", str(out), "--only", f"{job}/3", "--epochs", "3"]
        monkeypatch.setattr(sys, "argv", ["study", *words])
        study.main()
        assert capsys.readouterr().out.startswith(said)
        assert len(done) % 2 == 0
    planned = study.plan(STUDIES["quick"], study.Arguments("quick"), ["--epochs", "3"], out)
    assert sorted(run.path for run in done) == sorted(run.path for run in planned)
    assert [(run.variant, run.seed) for run in planned[2:4]] == [("hd-lif-parallel", 0), ("lif", 1)]
    assert {run.config.epochs for run in planned} == {3}


def test_a_part_of_the_variants(tmp_path):
    part = study.Arguments("x", variants=("hd-lif",), seeds=(1,))
    assert [(run.variant, run.seed) for run in study.plan(TWO, part, [], tmp_path)] == [("hd-lif", 1)]
    with pytest.raises(CommandError, match="--variants hdlif is none of this study; did you mean hd-lif"):
        study.plan(TWO, study.Arguments("x", variants=("hdlif",)), [], tmp_path)


def test_a_study_without_its_data_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    """The digits are there, the second row's data is not; checked in a process of its own."""
    file, out = tmp_path / "two.yaml", tmp_path / "out"
    file.write_text("variants:\n  here: {preset: digits}\n  gone: {preset: nmnist}\nseeds: [0]")
    words = [str(file), "--out", str(out), "--data.dir", str(tmp_path / "nowhere")]
    monkeypatch.setattr(sys, "argv", ["study", *words])
    with pytest.raises(SystemExit) as exit_:
        study.main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: gone: nmnist is not in {tmp_path}/nowhere")
    assert error.count("\n") == 1
    assert not out.exists()


def test_what_does_not_go_together_is_found_on_shapes_alone():
    config = PRESETS["digits"].config
    uneven = dataclasses.replace(config, batch_size=len(jax.devices()) + 1)
    with pytest.raises(CommandError, match=r"uneven: batch_size=5 cannot be shared evenly by 4 devices"):
        check_all([("as it is", config), ("uneven", uneven)])
    gated = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, gate_factor=0.5))
    with pytest.raises(CommandError, match=r"gated: gate_factor=0.5 is of the gates of neurons such as glif"):
        check_all([("gated", gated)])


@pytest.mark.slow
def test_what_begins_with_another_run_is_checked_with_it():
    names = ("digits-ltl-online", "digits-dct-snn")  # a teacher, and weights
    assert {PRESETS[name].config.first.use for name in names} == {"teacher", "weights"}
    with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
        check_all([(name, PRESETS[name].config) for name in names])
        for name in names:
            uneven = dataclasses.replace(PRESETS[name].config, batch_size=len(jax.devices()) + 1)
            with pytest.raises(CommandError, match="cannot be shared evenly"):
                check_all([(name, uneven)])


@pytest.mark.parametrize("only", ["0/2", "3/2", "1", "a/b", "1/-2"])
def test_a_share_that_is_none(only):
    with pytest.raises(ValueError, match=r"must be I/N"):
        study.Arguments("x", only=only)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modle.width", "3"], "unknown option --modle.width"),
        (["--seed", "4"], "use --seeds"),
        (["--preset", "digits-tet"], "the preset of a run is its variant's"),
        (["--recipe", "common"], "the recipe, which decides all other fields, is the scale's"),
    ],
)
def test_options_that_no_run_has(tmp_path, words, message):
    with pytest.raises(CommandError, match=message):
        study.plan(TWO, study.Arguments("x"), words, tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    folder = tmp_path / "a"
    plan = study.plan(TWO, study.Arguments("x", seeds=(0,)), [], folder)
    description = study.plan_file(folder, "two", plan)
    assert not folder.exists()
    folder.mkdir()
    write_json(folder / "plan.json", description)
    more = study.plan_file(folder, "two", study.plan(TWO, study.Arguments("x", seeds=(1,)), [], folder))
    assert len(more["runs"]) == 4
    with pytest.raises(CommandError, match="with another configuration"):
        study.plan_file(folder, "two", study.plan(TWO, study.Arguments("x"), ["--epochs", "3"], folder))
    with pytest.raises(CommandError, match="holds the study two"):
        study.plan_file(folder, "other", plan)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "precious").touch()
    with pytest.raises(CommandError, match="holds no study"):
        study.plan_file(tmp_path / "b", "two", plan)


def test_a_job_that_begins_while_another_writes_the_plan_finds_it(tmp_path, monkeypatch):
    """Between its two looks at the folder, which were the other way round."""
    plan = study.plan(TWO, study.Arguments("x", seeds=(0,)), [], tmp_path)
    description = study.plan_file(tmp_path, "two", plan)
    (tmp_path / f"plan.json-other-1{PARTIAL}").touch()
    assert study.plan_file(tmp_path, "two", plan) == description
    is_file = pathlib.Path.is_file

    def is_file_of_the_other(path):
        if path.name == "plan.json" and not path.exists():
            found = is_file(path)
            write_json(tmp_path / "plan.json", description)
            return found
        return is_file(path)

    monkeypatch.setattr(pathlib.Path, "is_file", is_file_of_the_other)
    assert study.plan_file(tmp_path, "two", plan) == description


def test_a_study_that_does_not_exist(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["study", "quikc"])
    with pytest.raises(SystemExit) as exit_:
        study.main()
    assert exit_.value.code == 2
    assert "unknown study 'quikc'; did you mean quick?" in capsys.readouterr().err


def test_help_names_the_studies_that_ship(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["study", "--help"])
    with pytest.raises(SystemExit) as exit_:
        study.main()
    assert exit_.value.code in (None, 0)
    output = capsys.readouterr().out
    assert f"There are {', '.join(STUDIES)}." in " ".join(output.split())
    assert output.startswith("usage: hdlif study [-h] [OPTIONS] NAME|FILE\n")
    assert max(map(len, output.splitlines())) <= 80


def test_configurations_survive_the_way_to_a_process():
    config = TWO.config("lif", "full", 1)
    assert dataclasses.asdict(config) == to_dict(config)
