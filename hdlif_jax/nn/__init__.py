"""Flax NNX modules `(state, x, t) -> (state, y)`, and the bridge from them to pure functions."""

from hdlif_jax.nn.attention import SECA
from hdlif_jax.nn.blocks import BatchNorm, Downsample, ResidualBlock
from hdlif_jax.nn.cells import (
    HDLIFCell,
    LIFCell,
    MemBNHDLIFCell,
    NeuronCell,
    ParallelHDLIFCell,
    PerStepParam,
    make_cell,
)
from hdlif_jax.nn.functional import (
    Network,
    Params,
    SpikingNetwork,
    Variables,
    carried,
    inference_form,
    init_state,
    map_neuron_states,
    recorded_spikes,
    training_form,
    variables_of,
    with_variables,
)
from hdlif_jax.nn.options import SpikingOptions
from hdlif_jax.nn.pooling import Flatten, GlobalAverage, HalvingAverage, StemMaximum
from hdlif_jax.nn.resnet import SpikingResNet, conv_net, resnet18, resnet19, resnet34
from hdlif_jax.nn.synapses import Conv, Linear, SpikeInput, Synapse
from hdlif_jax.nn.vgg import SpikingVGG, vgg13, vgg_snn

__all__ = [
    "SECA",
    "BatchNorm",
    "Conv",
    "Downsample",
    "Flatten",
    "GlobalAverage",
    "HDLIFCell",
    "HalvingAverage",
    "LIFCell",
    "Linear",
    "MemBNHDLIFCell",
    "Network",
    "NeuronCell",
    "ParallelHDLIFCell",
    "Params",
    "PerStepParam",
    "ResidualBlock",
    "SpikeInput",
    "SpikingNetwork",
    "SpikingOptions",
    "SpikingResNet",
    "SpikingVGG",
    "StemMaximum",
    "Synapse",
    "Variables",
    "carried",
    "conv_net",
    "inference_form",
    "init_state",
    "make_cell",
    "map_neuron_states",
    "recorded_spikes",
    "resnet18",
    "resnet19",
    "resnet34",
    "training_form",
    "variables_of",
    "vgg13",
    "vgg_snn",
    "with_variables",
]
