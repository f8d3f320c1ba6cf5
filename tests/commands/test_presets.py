import pytest
from flax import nnx

from hdlif_jax import analysis
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.make import make_model
from hdlif_jax.commands.presets import PRESETS, PaperFigures
from hdlif_jax.data import CATALOG

OF_PAPER = [name for name, preset in PRESETS.items() if preset.paper is not None]


def fresh_model(name):
    """The preset's network, in shapes: its size does not depend on its values."""
    config = PRESETS[name].config
    spec = CATALOG[config.data.name].input_spec()
    return nnx.eval_shape(lambda: make_model(config.model, spec.shape, spec.num_classes, config.seed))


@pytest.mark.parametrize("name", OF_PAPER)
def test_parameter_memory_is_the_papers(name):
    assert analysis.parameter_megabytes(fresh_model(name)) == pytest.approx(PRESETS[name].paper.param_mb, abs=0.01)


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


def test_names_agree_with_configurations():
    for name, preset in PRESETS.items():
        model = preset.config.model
        assert preset.config.preset == name
        if preset.paper is None:
            continue
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
