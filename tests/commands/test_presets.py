import dataclasses
import math
import re

import pytest
from flax import nnx

from hdlif_jax import analysis
from hdlif_jax.commands.config import DataConfig, FirstConfig, TrainConfig
from hdlif_jax.commands.make import make_model
from hdlif_jax.commands.presets import PRESETS, PaperFigures, hd_lif, small
from hdlif_jax.data import CATALOG

OF_PAPER = list(hd_lif.PRESETS)  # the rows of its tables marked "ours", and baselines
OF_EARLIER = [
    name
    for name, preset in PRESETS.items()
    if name not in (*OF_PAPER, *small.PRESETS) and not name.startswith("digits")
]
ON_DIGITS = [name for name in PRESETS if name.startswith("digits-")]


def fresh_model(name):
    """The preset's network, in shapes: its size does not depend on its values."""
    config = PRESETS[name].config
    spec = CATALOG[config.data.name].input_spec()
    return nnx.eval_shape(lambda: make_model(config.model, spec.shape, spec.num_classes, config.seed))


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.paper or preset.param_mb])
def test_parameter_memory_is_the_papers_or_its_own(name):
    """Where a system's network is another than the one that Table 1 prints the memory of, a note says so."""
    preset = PRESETS[name]
    expected = preset.param_mb or preset.paper.param_mb
    assert analysis.parameter_megabytes(fresh_model(name)) == pytest.approx(expected, abs=0.01)
    if preset.param_mb and preset.paper:
        assert abs(preset.param_mb - preset.paper.param_mb) > 0.01
        assert f"{preset.param_mb:.2f} MB" in preset.note or f"{preset.param_mb} MB" in preset.note


OWN_MB = {  # of networks that Table 1 does not print, as the facts on the systems have them
    "dvs-cifar10-vgg11-sltt": 37.872,
    "cifar10-vgg11-ottt": 36.902,
    "imagenet200-vgg13-dct-ann": 141.548,
}


@pytest.mark.parametrize("name", OWN_MB)
def test_parameter_memory_of_networks_that_table_1_does_not_have(name):
    assert analysis.parameter_megabytes(fresh_model(name)) == pytest.approx(OWN_MB[name], abs=0.001)


@pytest.mark.parametrize("name", [name for name in OF_PAPER if PRESETS[name].paper.nops_m is not None])
def test_neural_operations_are_the_papers(name):
    nops = sum(analysis.neural_operations(fresh_model(name)).values()) / 1e6
    assert nops == pytest.approx(PRESETS[name].paper.nops_m, abs=0.01)


@pytest.mark.parametrize("name", [name for name in OF_PAPER if PRESETS[name].paper.power_mj is not None])
def test_the_papers_power_follows_from_its_operations(name):
    """0.9 pJ each, an eighth for 4-bit spikes: the formula that `analysis` applies to our counts."""
    preset = PRESETS[name]
    quantized = preset.config.model.neuron != "lif" and preset.config.model.spike_bits == 4
    power = preset.paper.sops_m * 1e6 * 0.9e-9 / (8 if quantized else 1)
    assert power == pytest.approx(preset.paper.power_mj, abs=0.005)


def test_every_row_of_the_paper_has_a_preset():
    """ "Ours" of Table 1, Table 2, the lower row of Table 3: dataset, network and accuracy as printed there."""
    rows = {
        (preset.config.data.name, preset.config.model.architecture, preset.paper.accuracy)
        for preset in (PRESETS[name] for name in OF_PAPER)
    }
    assert rows >= {
        ("cifar10", "resnet18", 95.59),
        ("cifar100", "resnet18", 78.45),
        ("tiny-imagenet", "vgg13", 60.68),
        ("imagenet", "resnet34", 69.77),
        ("dvs-cifar10", "resnet18", 81.70),
        ("dvs-cifar10", "vgg-snn", 83.00),
        ("cifar100", "resnet18", 71.75),
        ("cifar100", "resnet18", 80.16),
        ("cifar100", "resnet18", 79.62),
        ("cifar100", "resnet18", 78.82),
        ("cifar100", "resnet18", 78.61),
        ("cifar10", "resnet18", 95.91),
        ("cifar100", "resnet18", 79.33),
        ("dvs-cifar10", "resnet18", 83.50),
    }
    baselines = {PRESETS[name].config.data.name for name in OF_PAPER if PRESETS[name].config.model.neuron == "lif"}
    assert baselines == {"cifar10", "cifar100", "tiny-imagenet", "imagenet", "dvs-cifar10"}


# Dataset, network, T, accuracy and MB of Table 1, but for the rows marked "Ours".
EARLIER_ROWS = """
cifar10 resnet19 tdbn 4 92.92 50.48
cifar10 resnet18 dspike 4 93.66 44.66
cifar10 resnet19 tet 4 94.44 50.48
cifar10 resnet18 glif 4 94.67 44.66
cifar10 resnet18 glif 6 94.88 44.66
cifar10 resnet18 sltt 6 94.44 44.66
cifar100 resnet18 dspike 4 73.35 44.84
cifar100 resnet19 tet 4 74.47 50.57
cifar100 resnet18 glif 4 76.42 44.84
cifar100 resnet18 glif 6 77.28 44.84
cifar100 resnet18 sltt 6 74.38 44.84
imagenet200 vgg13 dct-snn 125 56.90 38.02
imagenet200 vgg13 ltl-offline 16 55.37 38.02
imagenet200 vgg13 ltl-online 16 54.82 38.02
imagenet200 vgg13 asgl 4 56.57 38.02
imagenet200 vgg13 asgl 8 56.81 38.02
imagenet resnet34 tdbn 6 63.72 87.12
imagenet resnet34 tet 6 64.79 87.12
imagenet resnet34 ottt 6 65.15 87.12
imagenet resnet34 sltt 6 66.19 87.12
dvs-cifar10 resnet19 tdbn 10 67.80 50.48
dvs-cifar10 resnet18 dspike 10 75.40 44.66
dvs-cifar10 vgg11 ottt 10 76.30 37.05
dvs-cifar10 vgg11 ndot 10 77.50 37.05
"""  # the last two have a VGG-SNN there, which is not their network


def test_every_row_of_table_1_has_a_preset_with_its_figures():
    rows = []
    for name in OF_EARLIER:
        preset = PRESETS[name]
        if preset.paper is None:
            continue
        dataset, network, system = re.fullmatch(r"(.+)-((?:resnet|vgg)\d+)-(.+?)(?:-t\d+)?", name).groups()
        figures = (str(preset.config.model.num_steps), f"{preset.paper.accuracy:.2f}", f"{preset.paper.param_mb:.2f}")
        rows.append(" ".join((dataset, network, system, *figures)))
    assert sorted(rows) == sorted(EARLIER_ROWS.strip().splitlines())


# λ, θ, reset, tie, surrogate, norm, loss and rule, as the facts on the systems have them; LIF alone.
CONSTANTS = {
    "tdbn": (0.25, 0.5, "hard", ">", "rectangle", "tdbn", "mean-output", "stbp"),
    "dspike": (0.5, 0.5, "hard", ">", "dspike", "tdbn", "mean-output", "stbp"),
    "tet": (0.5, 1, "hard", ">", "triangle", "tdbn", "tet", "stbp"),
    "sltt": (1 - 1 / 1.1, 1, "soft", ">=", "triangle", "batch-norm", "cross-entropy+mse", "accumulate"),
    "sltt-k": (1 - 1 / 1.1, 1, "soft", ">=", "triangle", "batch-norm", "cross-entropy+mse", "random_k"),
    "ottt": (0.5, 1, "soft", ">=", "sigmoid", "none", "cross-entropy+mse", "accumulate"),
    "ndot": (0.5, 1, "soft", ">=", "sigmoid", "none", "cross-entropy+mse", "accumulate"),
    "asgl": (0.5, 1, "hard", ">=", "smooth-sigmoid", "tdbn", "mean-output", "stbp"),
    "ltl-offline": (math.exp(-0.1), 0.6, "hard", ">", "rectangle", "none", "cross-entropy", "layer-local"),
    "ltl-online": (math.exp(-0.1), 0.6, "hard", ">", "rectangle", "none", "cross-entropy", "layer-local-online"),
    "dct-snn": (0.9901, 1, "soft", ">", "triangle", "none", "mean-output", "stbp"),
}
OTHERWISE = {  # of the same system on other data
    "imagenet-resnet34-sltt": {"norm": "none", "loss": "cross-entropy"},  # without normalisers, and a = 0
    "imagenet-resnet34-sltt-k": {"norm": "none", "loss": "cross-entropy"},
    "imagenet-resnet34-ottt": {"loss": "cross-entropy"},
    "dvs-cifar10-vgg11-ndot": {"rule": "every_step"},  # Table 1 has its variant O
}


@pytest.mark.parametrize("system", CONSTANTS)
def test_constants_are_those_of_the_facts_whatever_the_dataset(system):
    names = [name for name in PRESETS if re.sub(r"-t\d+$", "", name).endswith(f"-{system}")]
    assert f"digits-{system}" in names
    of_lif, of_model, of_learning = ("decay", "threshold", "reset", "tie"), ("surrogate", "norm"), ("loss", "rule")
    fields = (*of_lif, *of_model, *of_learning)
    for name in names:
        model, learning = PRESETS[name].config.model, PRESETS[name].config.learning
        parts = ((model.lif, of_lif), (model, of_model), (learning, of_learning))
        found = {field: getattr(part, field) for part, names in parts for field in names}
        assert found == dict(zip(fields, CONSTANTS[system], strict=True)) | OTHERWISE.get(name, {}), name
        learned = (model.lif.learn_decay, model.lif.learn_threshold)
        assert (*learned, learning.label_smoothing) == (system == "asgl", False, 0)


def test_what_is_said_of_one_dataset_alone_is_in_no_other_recipe():
    weights = {name: preset.config.learning.tet_weight for name, preset in PRESETS.items() if name.endswith("-tet")}
    assert {name for name, weight in weights.items() if weight == 0.05} == {
        "cifar10-resnet19-tet",
        "cifar100-resnet19-tet",
        "digits-tet",
    }
    assert set(weights.values()) == {0.05, 1e-3}  # the default of its code
    notes = {name: preset.note for name, preset in PRESETS.items() if name.endswith("-ltl-online")}
    assert len(notes) == 3
    assert all("those of all steps count" in note for note in notes.values())


def test_systems_on_the_digits_differ_in_nothing_but_what_they_are():
    common = [PRESETS[name].common for name in ON_DIGITS]
    assert {config.recipe for config in common} == {"common"}
    assert {PRESETS[name].config.recipe for name in ON_DIGITS} == {"own"}
    assert {(config.model.architecture, config.model.widths, config.data.name) for config in common} == {
        ("vgg", (32, 64, 64), "digits")
    }
    hd_lif = PRESETS["digits-hd-lif"].config
    for config in common:
        assert (config.optimizer, config.epochs, config.batch_size) == (hd_lif.optimizer, 40, 64)
        assert dataclasses.replace(config.data, encoding="direct") == hd_lif.data
        assert config.learning.label_smoothing == hd_lif.learning.label_smoothing


@pytest.mark.parametrize("name", [*OF_EARLIER, *OF_PAPER])
def test_the_common_recipe_is_that_of_hd_lif(name):
    own, common = PRESETS[name].config, PRESETS[name].common
    (same,) = {
        (preset.config.optimizer, preset.config.epochs, preset.config.batch_size)
        for preset in hd_lif.PRESETS.values()
        if preset.config.data.name == own.data.name
    }
    assert (common.optimizer, common.epochs, common.batch_size) == same
    assert (common.model, common.first, common.learning.rule) == (own.model, own.first, own.learning.rule)
    augmentation = {field: getattr(common.data, field) for field in hd_lif.AUGMENTATION[own.data.name]}
    assert augmentation == hd_lif.AUGMENTATION[own.data.name]
    kept = {"name": own.data.name, "validation_fraction": 0, "encoding": own.data.encoding}
    assert common.data == DataConfig(**kept, **augmentation)


def test_what_comes_first_is_a_preset_of_the_same_network():
    named = [preset.config for preset in PRESETS.values() if preset.config.first.preset is not None]
    assert len(named) >= 8
    for config in named:
        first = PRESETS[config.first.preset].config
        assert first.first == FirstConfig()
        assert (first.model.architecture, first.data.name) == (config.model.architecture, config.data.name)


def test_names_agree_with_configurations():
    assert all(preset.config.preset == name for name, preset in PRESETS.items())
    for name in OF_PAPER:
        preset = PRESETS[name]
        model = preset.config.model
        parts = name.split("-")
        assert ("lif" in parts) == (model.neuron == "lif")
        assert ("binary" in parts) == (model.weights == "binary")
        assert ("ternary" in parts) == (model.weights == "ternary")
        assert ("4bit" in parts) == (model.neuron != "lif" and model.spike_bits == 4)
        assert ("seca" in parts) == (model.attention == "seca-2")
        assert model.num_steps == (10 if CATALOG[preset.config.data.name].is_sequence else 4)
        assert preset.config.optimizer.learning_rate == 0.01
        if "parallel" in parts:
            assert model.second_neuron == "parallel"


def test_rows_of_tables_train_on_all_of_the_training_set():
    """A validation split is for choosing, and the table rows are chosen."""
    assert {PRESETS[name].config.data.validation_fraction for name in OF_PAPER} == {0}
    assert PRESETS["digits"].config.data.validation_fraction > 0


def test_a_configuration_that_began_as_no_preset_has_the_name_of_none():
    assert TrainConfig().preset not in PRESETS
    assert all(preset.config.preset == name for name, preset in PRESETS.items())


def test_figures_as_text():
    assert str(PaperFigures("Table 1", accuracy=95.59, param_mb=2.82)) == "paper, Table 1: 95.59 %, 2.82 MB"
    assert str(PaperFigures("Table 9")) == "paper, Table 9: no figure"
