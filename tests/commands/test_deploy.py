import json
import re
import shutil

import numpy as np
import pytest

from hdlif_jax.commands import deploy as deploy_command
from hdlif_jax.commands import infer
from hdlif_jax.data import digits
from tests.commands.conftest import read_json


@pytest.fixture(scope="module")
def deployed(command, finished_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("deployed") / "artifact"
    status, output, errors = command.run("deploy", finished_run[0], out)
    assert status == 0, errors
    return out, output


def test_the_artifact_keeps_the_accuracy_of_the_checkpoint(deployed, finished_run):
    summary, report = read_json(finished_run[0] / "summary.json"), read_json(finished_run[0] / "deployment.json")
    verification = report["verification"]
    for arithmetic in ("integer", "float"):
        found = verification[arithmetic]
        edges = found["inputs_at_an_edge"]  # luck, and as much as that the artifact may differ
        assert edges <= 0.02 * 359
        assert found["accuracy_per_step"] == pytest.approx(summary["accuracy_per_step"], abs=edges / 359 + 1e-12)
        assert found["other_predictions"] <= edges
        assert f"{edges} inputs met the edge of a level" in deployed[1]
    assert "From here on the folded arithmetic is the definition" in deployed[1]
    assert report["artifact_bytes"] == sum(file.stat().st_size for file in deployed[0].iterdir())


def test_columns_of_table_2_before_and_after(deployed, finished_run):
    output, report = deployed[1], read_json(finished_run[0] / "deployment.json")
    for column in ("Param.(MB)", "Acc.(%)", "SOPs(M)", "NOPs(M)", "Power(mJ)", "checkpoint", "deployed", "early exit"):
        assert column in output
    before, after = report["before"], report["after"]
    assert after["parameters_mb"] < before["parameters_mb"]
    assert after["sops_m"] == pytest.approx(before["sops_m"], rel=1e-3)  # counted in two ways
    assert after["nops_m"] == before["nops_m"]
    assert after["power_mj"] == pytest.approx(before["power_mj"] / 8, rel=1e-3)  # 4-bit spikes
    exits = report["early_exit"]
    assert exits[0]["mean_steps"] == 1
    assert exits[-1]["mean_steps"] == 2  # T
    assert exits[-1]["accuracy"] == report["verification"]["checkpoint_accuracy_per_step"][-1]


def test_a_quick_proof_says_that_it_is_one(deployed, finished_run, monkeypatch, capsys, tmp_path):
    """What is computed is tested in tests/deploy; here, of what, and what is said of it."""
    import hdlif_jax as hd
    from hdlif_jax.commands.deploy import main

    whole = read_json(finished_run[0] / "deployment.json")
    assert (whole["verified_inputs"], whole["test_inputs"], whole["quick_proof"]) == (359, 359, False)
    assert "359 test inputs of digits; " in " ".join(deployed[1].split())
    run, seen = tmp_path / "run", {}
    shutil.copytree(finished_run[0], run)

    def verify(model, directory, source, *, progress, **_):
        seen["proven"] = source
        progress(len(source.labels))
        comparison = hd.deploy.verify.Comparison([0.9, 0.9], 0.0, 1.0, 0, 0)
        logits = np.zeros((2, len(source.labels), 10))
        return hd.deploy.verify.Verification("float", [0.9, 0.9], {"float": comparison}, logits, source.labels)

    def costs(model, folded, batches):
        seen["counted"] = sum(len(batch) for batch in batches)
        row = hd.deploy.costs.InferenceCosts(1.0, 1.0, 1.0, 1.0)
        return hd.deploy.costs.DeploymentCosts(row, row)

    monkeypatch.setattr(hd.deploy, "deploy", lambda model, variables, out, **_: shutil.copytree(deployed[0], out))
    monkeypatch.setattr(hd.deploy.verify, "verify", verify)
    monkeypatch.setattr(hd.deploy.costs, "deployment_costs", costs)
    monkeypatch.setattr("sys.argv", ["deploy", str(run), str(tmp_path / "out"), "--images", "40"])
    main()
    output, quick = capsys.readouterr().out, read_json(run / "deployment.json")
    assert "40 test inputs of digits (a quick proof: there are 359); float arithmetic" in " ".join(output.split())
    assert (quick["verified_inputs"], quick["test_inputs"], quick["quick_proof"]) == (40, 359, True)
    assert set(np.bincount(seen["proven"].labels)) == {4}
    assert seen["counted"] == 64


def test_infer_predicts_what_the_checkpoint_does(deployed, finished_run, command, tmp_path):
    test = digits().test
    np.save(tmp_path / "inputs.npy", test.inputs[:70])
    status, output, errors = command.run("infer", deployed[0], tmp_path / "inputs.npy")
    assert status == 0, errors
    head, *lines = output.splitlines()
    assert head == "input\tclass\tprobability"
    assert errors.endswith("arithmetic, 2 time-steps; 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n")
    predictions = np.array([int(line.split("\t")[1]) for line in lines])
    assert len(predictions) == 70
    summary = read_json(finished_run[0] / "summary.json")
    assert abs((predictions == test.labels[:70]).mean() - summary["test_accuracy"]) < 0.25  # of 70 of the 359
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        pillow.fromarray(test.inputs[index, ..., 0]).save(folder / f"{index}.png")
    status, output, errors = command.run("infer", deployed[0], folder, "--threshold", "1")
    assert status == 0, errors
    head, *lines = output.splitlines()
    assert head == "input\tclass\tprobability\tsteps"
    assert [int(line.split("\t")[1]) for line in lines] == list(predictions[:3])
    assert all(line.endswith("\t2") for line in lines)
    status, output, errors = command.run("infer", deployed[0], tmp_path / "nothing")
    assert (output, errors.count("\n")) == ("", 1)


@pytest.fixture
def error_of(monkeypatch, capsys):
    """Runs a command in this process, which refuses; gives the line that it says."""

    def error_of(module, *words):
        monkeypatch.setattr("sys.argv", [module.__name__.rpartition(".")[2], *map(str, words)])
        with pytest.raises(SystemExit) as exit_:
            module.main()
        assert exit_.value.code == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1, errors
        assert "Traceback" not in errors
        return errors

    return error_of


def test_deploy_refuses(error_of, finished_run, deployed, tmp_path):
    assert "is not a run directory" in error_of(deploy_command, tmp_path, tmp_path / "out")
    before = sorted(deployed[0].iterdir())
    assert "is not empty" in error_of(deploy_command, finished_run[0], deployed[0])
    assert sorted(deployed[0].iterdir()) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing", "does not exist"),
        (lambda folder: folder, "holds no inputs"),
        (lambda folder: _write(folder / "x.txt", b"text"), "is no input"),
        (lambda folder: _write(folder / "x.npy", b"text"), "not a readable .npy"),
        (lambda folder: _write(folder / "x.npy", b"\x93NUMPY\1\0\3\0((("), "not a readable .npy"),
        (lambda folder: _save(folder / "x.npy", np.zeros((0, 8, 8, 1), np.uint8)), "holds an empty batch"),
        (lambda folder: _write(folder / "x.png", b"text"), "does not decode as an image"),
        (lambda folder: _sixteen_bits(folder / "x.png"), "more than 8 bits a channel"),
        (lambda folder: _save(folder / "x.npy", np.zeros((8, 8, 1))), "of floats in [0, 1]: np.round(255 *"),
        (lambda folder: _save(folder / "x.npy", np.zeros((9, 8, 1), np.uint8)), "expected uint8 [8, 8, 1]"),
        (lambda folder: _save(folder / "x.npy", np.array([{}])), "not a readable .npy"),
        (lambda folder: _save(folder / "x.npy", np.zeros((1, 1, 8, 8, 1), np.uint8)), "or a batch of those"),
        (
            lambda folder: _save(folder / "x.npy", np.full((8, 8, 1), 256)),
            "int64 from 256 to 256; the network reads",
        ),
        (lambda folder: _save(folder / "x.npz", np.zeros((8, 8, 1)), ("a", "b")), "no array 'inputs', only a, b"),
        (lambda folder: _save(folder / "x.npz", np.array([{}]), ("x_test",)), "array x_test holds Python objects"),
        (lambda folder: _write(folder / "x.npz", b"text"), "not a readable .npz"),
    ],
)
def test_infer_refuses_inputs(make, message, deployed, tmp_path):
    from hdlif_jax.commands.infer import read_inputs
    from hdlif_jax.deploy import load

    with pytest.raises(ValueError, match=re.escape(message)):
        list(read_inputs(make(tmp_path), load(deployed[0], "float"), resize=False))


def test_infer_reports_errors_in_one_line(error_of, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({}))
    assert "manifest.json is of format None" in error_of(infer, tmp_path, tmp_path)


def _write(path, data):
    path.write_bytes(data)
    return path


def _sixteen_bits(path):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pillow.fromarray(np.full((8, 8), 60_000, np.uint16)).save(path)
    return path


def _save(path, array, names=None):
    if names is None:
        np.save(path, array, allow_pickle=True)
    else:
        np.savez(path, **dict.fromkeys(names, array))
    return path


@pytest.fixture(scope="module", params=["poisson", "dct"])
def encoded_run(request, finished_run, tmp_path_factory):
    """The finished run as if it had been one on encoded inputs, and its encoding."""
    directory = tmp_path_factory.mktemp("encoded") / "run"
    directory.mkdir()
    for name in ("checkpoints", "checksums"):
        (directory / name).symlink_to(finished_run[0] / name)
    description = read_json(finished_run[0] / "config.json")
    description["config"]["data"]["encoding"] = request.param
    (directory / "config.json").write_text(json.dumps(description))
    return directory, request.param


def test_the_artifact_of_a_run_on_encoded_inputs_reads_the_code(command, encoded_run, tmp_path):
    from hdlif_jax import deploy
    from hdlif_jax.commands.config import DataConfig
    from hdlif_jax.commands.evaluate import evaluate
    from hdlif_jax.commands.infer import read_inputs
    from hdlif_jax.commands.make import make_encoding
    from hdlif_jax.training import make_normalize

    directory, encoding = encoded_run
    status, output, errors = command.run("deploy", directory, tmp_path / "out")
    assert status == 0, errors
    reads = "normalised inputs" if encoding == "dct" else "intensities in [0, 1]"
    message = (
        f"The artifact reads the code '{encoding}', and does not make it: hdlif_jax.encodings.{encoding}(num_steps"
    )
    assert message in " ".join(output.split())
    assert f"of {reads}, plus 1 as uint8" in " ".join(output.split())
    found = read_json(directory / "deployment.json")["verification"]["checkpoint_accuracy_per_step"]
    np.testing.assert_allclose(found, evaluate(directory)["accuracy_per_step"], atol=1e-12)

    network, dataset = deploy.load(tmp_path / "out", "float"), digits()
    assert network.input_shape == (2, 8, 8, 1)
    encode = make_normalize(dataset.mean, dataset.std, make_encoding(DataConfig(encoding=encoding), 2))
    codes = np.moveaxis(np.asarray(encode(dataset.test.inputs[:256])), 0, 1)  # a batch of an evaluation
    logits = network((codes + 1).astype(np.uint8))
    right = np.mean(np.asarray(logits).sum(0).argmax(-1) == dataset.test.labels[:256])
    assert abs(right - found[-1]) < 0.15  # of 256 of the 359
    np.save(tmp_path / "image.npy", dataset.test.inputs[0])
    with pytest.raises(ValueError, match=rf"expected uint8 \[2, 8, 8, 1\].*; it reads images in the code '{encoding}'"):
        list(read_inputs(tmp_path / "image.npy", network, resize=False))
