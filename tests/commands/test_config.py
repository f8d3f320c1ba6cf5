import dataclasses

import pytest

from hdlif_jax.commands.config import (
    DataConfig,
    LearningConfig,
    LIFConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    from_dict,
    to_dict,
)

CONFIG = TrainConfig(
    epochs=7,
    model=ModelConfig(weights="binary", spike_bits=None, widths=(8, 16)),
    data=DataConfig(crop_padding=2),
    optimizer=OptimizerConfig(name="adamw", learning_rate=1),
    learning=LearningConfig(rule="random_k", k=3),
)


def test_dicts_round_trip():
    assert from_dict(TrainConfig, to_dict(CONFIG) | {"model": to_dict(CONFIG.model) | {"widths": [8, 16]}}) == CONFIG


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "TrainConfig has no field epoch"),
        ({"epochs": "3"}, "epochs='3' must be an integer, e.g. 300"),
        ({"epochs": True}, "epochs=True must be an integer"),
        ({"model": 3}, "TrainConfig.model=3 must be an object"),
        ({"model": {"widths": 3}}, "widths=3 must be a tuple"),
        ({"model": {"weights": "int4"}}, "weights='int4' is unknown; choose one of float, binary, ternary"),
        ({"model": {"spike_bits": "4"}}, "spike_bits='4' must be an integer or None"),
        ({"learning": {"k": 9, "rule": "random_k"}}, "learning.k=9 exceeds model.num_steps=4"),
    ],
)
def test_bad_dicts(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        from_dict(TrainConfig, change)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (TrainConfig, {"epochs": 0}),
        (TrainConfig, {"batch_size": 0}),
        (TrainConfig, {"checkpoint_every_epochs": 0}),
        (OptimizerConfig, {"learning_rate": 0.0}),
        (OptimizerConfig, {"momentum": 1.0}),
        (OptimizerConfig, {"weight_decay": -1.0}),
        (OptimizerConfig, {"warmup_epochs": -1}),
        (LearningConfig, {"k": 0}),
        (LearningConfig, {"label_smoothing": 1.0}),
        (DataConfig, {"validation_fraction": 1.0}),
        (DataConfig, {"crop_padding": -1}),
    ],
)
def test_values_out_of_range(kind, change):
    (name,) = change
    with pytest.raises(ValueError, match=f"{name}="):
        kind(**change)


def test_the_second_neuron_can_be_serial():
    assert dataclasses.replace(CONFIG.model, parallel=False).second_neuron == "hd-lif"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 8}, "width=8 is not for conv-net, which has widths; set widths"),
        ({"architecture": "resnet18", "widths": (8, 16)}, r"widths=\(8, 16\) are for conv-net and vgg; set width"),
        ({"architecture": "vgg13", "width": 0}, "width=0 must be at least 1"),
        ({"architecture": "resnet18", "num_steps": 0}, "num_steps=0 must be at least 1"),
    ],
)
def test_sizes_belong_to_their_architecture(fields, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**fields)


@pytest.mark.parametrize(
    ("options", "second"),
    [
        ({}, "parallel"),
        ({"neuron": "mem-bn"}, "parallel"),
        ({"neuron": "lif"}, "lif"),
        ({"parallel": False}, "hd-lif"),
        ({"neuron": "lif", "parallel": False}, "lif"),
    ],
)
def test_second_neuron(options, second):
    assert ModelConfig(**options).second_neuron == second


@pytest.mark.parametrize(
    ("model", "others", "message"),
    [
        ({"norm": "none", "norm_gain": 0.5}, {}, "norm='none' normalises nothing"),
        ({"norm": "none", "residual_gain": 0.5}, {}, "norm='none' normalises nothing"),
        ({"architecture": "vgg", "residual_gain": 0.5}, {}, "residual_gain=0.5 and .* vgg has none"),
        ({"architecture": "vgg", "identity_norm": True}, {}, "identity_norm=True are for residual blocks"),
        ({"norm": "tdbn"}, {}, "model.norm=tdbn .* choose learning.rule=stbp without segments, or model.norm=batch-"),
        ({"norm": "tdbn"}, {"rule": "stbp", "stbp_segment": 2}, "choose learning.rule=stbp without segments"),
        ({"norm": "tdbn"}, {"rule": "every_step"}, "learning.rule=every_step sees them one by one"),
    ],
)
def test_norms_belong_to_their_networks_and_rules(model, others, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(model=ModelConfig(**model), learning=LearningConfig(**others))


@pytest.mark.parametrize(
    ("option", "where"),
    [
        ({"early_stop": False}, {"rule": "random_k"}),
        ({"mse_weight": 0.2}, {"loss": "cross-entropy+mse"}),
        ({"mse_target": "constant"}, {"loss": "cross-entropy+mse"}),
        ({"tet_weight": 0.2}, {"rule": "stbp", "loss": "tet"}),
        ({"tet_constant": 2.0}, {"rule": "stbp", "loss": "tet"}),
        ({"local_percentile": 99.0}, {"rule": "layer-local"}),
        ({"local_warmup": 1}, {"rule": "layer-local-online"}),
    ],
)
def test_options_of_rules_and_losses_are_refused_where_nothing_reads_them(option, where):
    ((name, value),) = option.items()
    assert getattr(LearningConfig(**where, **option), name) == value
    usual = getattr(LearningConfig, name)
    with pytest.raises(ValueError, match=f"^{name}={value} is of .*; choose {name}={usual}, the default$"):
        LearningConfig(**option)


def test_norms_over_the_sequence_are_not_compared_online():
    tdbn, stbp = ModelConfig(norm="tdbn"), LearningConfig(rule="stbp")
    assert TrainConfig(model=tdbn, learning=stbp).model.norm == "tdbn"
    with pytest.raises(ValueError, match=r"coherence_every=5 with model\.norm=tdbn"):
        TrainConfig(model=tdbn, learning=stbp, coherence_every=5)


def test_a_threshold_is_found_or_learned():
    with pytest.raises(ValueError, match="found_threshold=True with learn_threshold=True"):
        LIFConfig(found_threshold=True)
    config = ModelConfig(neuron="lif", lif=LIFConfig(found_threshold=True, learn_threshold=False))
    assert from_dict(ModelConfig, to_dict(config)) == config


def test_unquantised_spikes():
    assert ModelConfig(spike_bits=None).quantizer.softness is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps=0 must be at least 1"),
        ({"neuron": "lif", "parallel": True}, "'lif' has no parallel form"),
        ({"neuron": "parallel", "parallel": False}, "neuron='parallel' makes all neurons parallel, but parallel=False"),
        ({"architecture": "vgg13", "parallel": True}, "second neuron of a residual block parallel, and vgg13 has no"),
        ({"neuron": "if"}, "neuron='if' is unknown; choose one of lif, .*hd-lif, mem-bn"),
        ({"weights": "int8"}, "weights='int8' is unknown"),
        ({"attention": "se"}, "attention='se' is unknown"),
        ({"spike_bits": 0}, "spike_bits=0 must be in 1…24"),
        ({"spike_scale": -1.0}, "spike_scale=-1.0 must be positive"),
        ({"surrogate_scale": 2.0}, "surrogate_scale=2.0 with neuron='hd-lif', which has no surrogate to choose"),
        ({"neuron": "lif", "surrogate": "sigmoid", "surrogate_height": 1.0}, "surrogate_height=1.0 is for"),
        ({"neuron": "lif", "surrogate_noise": 0.1}, "surrogate_noise=0.1 is for surrogate=smooth-sigmoid and"),
        ({"neuron": "adaptive-lif", "surrogate": "dspike"}, "neuron='adaptive-lif' has no place for; use neuron='lif'"),
        ({"neuron": "glif", "surrogate": "arctan"}, "surrogate='arctan' is for neurons whose spikes are a step"),
        ({"lif": LIFConfig(reset="hard")}, "lif has options of neuron='lif', and neuron='hd-lif'"),
        ({"relu_ceiling": 2.0}, "relu_ceiling=2.0 is for neuron='relu'"),
        ({"surrogate": "arctan"}, "surrogate='arctan' is for neurons whose spikes are a step, such as neuron='lif'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**options)
