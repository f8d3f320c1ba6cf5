"""Neurons and surrogates of a configuration."""

import dataclasses

import pytest

from hdlif_jax import nn
from hdlif_jax.commands import make, registry
from hdlif_jax.commands.config import LIFConfig, ModelConfig
from hdlif_jax.neurons import surrogates

HARD = nn.lif(reset="hard", decay=0.25)


@pytest.mark.parametrize("name", registry.NEURONS)
def test_a_neuron_reads_what_its_entry_says(name):
    entry = registry.NEURONS[name]
    factory = entry(ModelConfig(neuron=name))
    assert hasattr(factory, "bits") == (entry.reads == "levels")
    assert hasattr(factory, "surrogate") == (entry.reads == "surrogate")


@pytest.mark.parametrize(
    ("fields", "neuron", "second"),
    [
        ({}, nn.hd_lif(4, 0.25), nn.parallel(4, 0.25)),
        ({"spike_bits": None, "spike_scale": 0.5}, nn.hd_lif(None, 0.5), nn.parallel(None, 0.5)),
        ({"parallel": False}, nn.hd_lif(4, 0.25), nn.hd_lif(4, 0.25)),
        ({"neuron": "mem-bn"}, nn.mem_bn(4, 0.25), nn.parallel(4, 0.25)),
        ({"neuron": "parallel"}, nn.parallel(4, 0.25), nn.parallel(4, 0.25)),
        ({"neuron": "lif"}, nn.lif(), nn.lif()),
        ({"neuron": "lif", "surrogate": "arctan"}, nn.lif(surrogates.arctan()), nn.lif(surrogates.arctan())),
        ({"architecture": "vgg13"}, nn.hd_lif(4, 0.25), None),
        ({"neuron": "glif"}, nn.glif(), nn.glif()),
        ({"neuron": "relu", "relu_ceiling": 2}, nn.relu(2.0), nn.relu(2.0)),
        ({"neuron": "lif", "lif": LIFConfig(reset="hard", decay=0.25)}, HARD, HARD),
    ],
)
def test_specs_have_the_neurons_of_the_configuration(fields, neuron, second):
    spec = make.make_spec(ModelConfig(**fields))
    assert (spec.neuron, spec.second_neuron) == (neuron, second)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"surrogate_scale": 0.5}, surrogates.triangle(0.5)),
        ({"surrogate_height": 0.3}, surrogates.triangle(1.0, 0.3)),
        ({"surrogate": "rectangle", "surrogate_scale": 0.4, "surrogate_height": 1.0}, surrogates.rectangle(0.4, 1.0)),
        ({"surrogate": "sigmoid", "surrogate_scale": 2.0}, surrogates.sigmoid(2.0)),
        ({"surrogate": "arctan", "surrogate_scale": 3.0}, surrogates.arctan(3.0)),
        ({"surrogate": "fast-sigmoid", "surrogate_scale": 5.0}, surrogates.fast_sigmoid(5.0)),
        ({"surrogate": "gaussian", "surrogate_scale": 0.4}, surrogates.gaussian(0.4)),
        ({"surrogate": "dspike", "surrogate_scale": 2.0}, surrogates.dspike(2.0)),
        ({"surrogate": "smooth-sigmoid", "surrogate_noise": 0.2}, surrogates.smooth_step("sigmoid", noise=0.2)),
        ({"surrogate": "smooth-ramp", "surrogate_scale": 2.0}, surrogates.smooth_step("ramp", 2.0)),
    ],
)
def test_surrogates_take_their_numbers_from_the_configuration(fields, expected):
    assert registry.NEURONS["lif"](ModelConfig(neuron="lif", **fields)) == nn.lif(expected)


def test_an_lif_of_the_configuration_has_all_options_of_the_cell():
    own = {field.name: field.default for field in dataclasses.fields(nn.lif) if field.name != "surrogate"}
    assert {field.name: field.default for field in dataclasses.fields(LIFConfig)} == own
