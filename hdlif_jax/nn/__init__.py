"""Flax NNX modules `(state, x, tick) -> (state, y)`, and the bridge from them to pure functions."""

from hdlif_jax.nn import inits
from hdlif_jax.nn.arrays import variables_of, with_variables
from hdlif_jax.nn.attention import SECA
from hdlif_jax.nn.blocks import Downsample, ResidualBlock
from hdlif_jax.nn.cell import BINARY, Cell, CellFactory, NeuronCell, PerStepParam, PerStepStat, Setting, SpikeInput
from hdlif_jax.nn.cells import (
    AdaptiveLIFCell,
    Dropout,
    GLIFCell,
    HDLIFCell,
    LIFCell,
    MemBNHDLIFCell,
    ParallelHDLIFCell,
    ReLUCell,
    adaptive_lif,
    glif,
    hd_lif,
    lif,
    mem_bn,
    parallel,
    relu,
)
from hdlif_jax.nn.forms import inference_form, init_state, training_form
from hdlif_jax.nn.intercept import intercept, modules
from hdlif_jax.nn.module import Carry, Form, Module, Stateful, Tick
from hdlif_jax.nn.network import Network, Params, SequenceOutput, SpikingNetwork, StepOutput, Variables
from hdlif_jax.nn.nf_resnet import NFResNet, Scale, nf_resnet34
from hdlif_jax.nn.norms import BatchNorm, Identity, NormFactory, batch_norm, no_norm
from hdlif_jax.nn.pooling import AdaptiveAverage, AvgPool2x2, AvgPool3x3, Flatten, GlobalAverage, MaxPool2x2, MaxPool3x3
from hdlif_jax.nn.post_resnet import (
    PostActivationResNet,
    glif_resnet18,
    post_resnet18,
    post_resnet19,
    post_resnet34,
)
from hdlif_jax.nn.resnet import SpikingResNet, conv_net, resnet18, resnet19, resnet34
from hdlif_jax.nn.sequential import Sequential, mlp
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.spike_resnet import SpikeResNet, spike_resnet18
from hdlif_jax.nn.stem import StemShape
from hdlif_jax.nn.steps import with_num_steps
from hdlif_jax.nn.synapses import Conv, Linear, Synapse
from hdlif_jax.nn.vgg import SpikingVGG
from hdlif_jax.nn.vgg_networks import vgg, vgg11, vgg11_adaptive, vgg11_strided, vgg13, vgg13_linear, vgg_snn

__all__ = [
    "BINARY",
    "SECA",
    "AdaptiveAverage",
    "AdaptiveLIFCell",
    "AvgPool2x2",
    "AvgPool3x3",
    "BatchNorm",
    "Carry",
    "Cell",
    "CellFactory",
    "Conv",
    "Downsample",
    "Dropout",
    "Flatten",
    "Form",
    "GLIFCell",
    "GlobalAverage",
    "HDLIFCell",
    "Identity",
    "LIFCell",
    "Linear",
    "MaxPool2x2",
    "MaxPool3x3",
    "MemBNHDLIFCell",
    "Module",
    "NFResNet",
    "Network",
    "NeuronCell",
    "NormFactory",
    "ParallelHDLIFCell",
    "Params",
    "PerStepParam",
    "PerStepStat",
    "PostActivationResNet",
    "ReLUCell",
    "ResidualBlock",
    "Scale",
    "SequenceOutput",
    "Sequential",
    "Setting",
    "Spec",
    "SpikeInput",
    "SpikeResNet",
    "SpikingNetwork",
    "SpikingResNet",
    "SpikingVGG",
    "Stateful",
    "StemShape",
    "StepOutput",
    "Synapse",
    "Tick",
    "Variables",
    "adaptive_lif",
    "batch_norm",
    "conv_net",
    "glif",
    "glif_resnet18",
    "hd_lif",
    "inference_form",
    "init_state",
    "inits",
    "intercept",
    "lif",
    "mem_bn",
    "mlp",
    "modules",
    "nf_resnet34",
    "no_norm",
    "parallel",
    "post_resnet18",
    "post_resnet19",
    "post_resnet34",
    "relu",
    "resnet18",
    "resnet19",
    "resnet34",
    "spike_resnet18",
    "training_form",
    "variables_of",
    "vgg",
    "vgg11",
    "vgg11_adaptive",
    "vgg11_strided",
    "vgg13",
    "vgg13_linear",
    "vgg_snn",
    "with_num_steps",
    "with_variables",
]
