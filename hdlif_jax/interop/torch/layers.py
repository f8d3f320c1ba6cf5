"""The layers of a state_dict, or of a living network of PyTorch, by what their tensors are."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from hdlif_jax.interop.torch.files import Arrays, read_state_dict
from hdlif_jax.interop.torch.neurons import MECHANISMS, neuron_of, one_number, snntorch_leaky
from hdlif_jax.nn import lif

LIBRARIES = ("torch", "spikingjelly", "snntorch")
LEAKY = {"beta", "threshold", "graded_spikes_factor", "reset_mechanism_val"}
STATISTICS = {"running_mean", "running_var"}
UNKNOWN = {  # fields by which layers that are none of ours are known
    "alpha": "a neuron of two states, such as snnTorch's Synaptic or Alpha",
    "V": "a recurrent neuron, such as snnTorch's RLeaky",
    "time_step": "snnTorch's Lapicque neuron",
    "weight_ih": "a recurrent layer",
    "k": "SpikingJelly's KLIFNode",
    "conduct": "SpikingJelly's GatedLIFNode",
}
CONTAINERS = {  # whose parts run one after the other
    *("Sequential", "MultiStepContainer", "SeqToANNContainer", "StepModeContainer"),
}
NETWORKS = ("spiking_resnet", "spiking_vgg")  # of SpikingJelly, whose blocks are known
SETTINGS = ("stride", "padding", "dilation", "padding_mode", "eps")  # of a living layer
KNOWN = {  # living layers that do what a layer with their arrays does; ConvTranspose2d has those of a Conv2d
    *("Conv2d", "Linear", "BatchNorm1d", "BatchNorm2d", "SyncBatchNorm", "Conv1d", "WSConv2d"),
    *("ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d"),
}
SILENT = {  # living layers that hold nothing and are no neurons
    *("Identity", "Flatten", "Dropout", "Dropout1d", "Dropout2d"),
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "VotingLayer"),
}


class Layer(NamedTuple):
    """A layer of theirs.

    Attributes:
      name: of the layer, `"layer1.0.conv1"`.
      kind: as of `Place`, "other" for what is known by the names of its fields alone.
      arrays: by field, such as weight and bias.
      neuron: the same neuron as one of ours; None for no neuron.
      refusal: why it is none of ours; None where it may be.
      decays_input: of a neuron, whether what it reads is divided by its time constant.
      settings: of a living layer, what is not in its arrays, such as its stride; empty where that is not known.
    """

    name: str
    kind: str
    arrays: Arrays
    neuron: lif | None = None
    refusal: str | None = None
    decays_input: bool = False
    settings: Mapping[str, Any] = {}


def layers_of(source: Any) -> list[Layer]:
    """The layers of a state_dict, a file of one, or a living network, which says more of its neurons.

    Raises:
      TypeError: what is none of these.
      ValueError: a file that is damaged.
      ImportError: a file that takes PyTorch, which is not there.
      OSError: the file cannot be read.
    """
    if not (hasattr(source, "named_modules") and hasattr(source, "state_dict")):
        return from_arrays(read_state_dict(source))
    leaves = list(leaves_of(source, ""))
    living = [_living(module, name) for name, module in leaves]
    inside = tuple(f"{name}." if name else "" for name, _ in leaves)
    own = {key: value for key, value in source.state_dict().items() if not key.startswith(inside)}
    return [*filter(None, living), *(from_arrays(read_state_dict(own)) if own else ())]


def leaves_of(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Layers and neurons by name, and containers that do something of their own with what is in them."""
    children = children_of(module)
    where = type(module).__module__.split(".")
    known = where[0] not in LIBRARIES or is_container(module) or where[-1] in NETWORKS
    if not children or is_neuron(module) or not known:
        yield name, module
        return
    for child, inner in children:
        yield from leaves_of(inner, f"{name}.{child}" if name else child)


def children_of(module: Any) -> list[tuple[str, Any]]:
    """The parts of a module by name; one that is used twice is there twice, and not once as in `named_children`."""
    parts = module.named_modules(remove_duplicate=False)
    return [(name, part) for name, part in parts if name and "." not in name]


def is_container(module: Any) -> bool:
    """Whether a module does nothing but to run its parts one after the other; a class of the user's may do more."""
    return type(module).__module__.split(".")[0] in LIBRARIES and type(module).__name__ in CONTAINERS


def is_neuron(module: Any) -> bool:
    """Whether a module looks like a neuron, of whatever library."""
    return hasattr(module, "v_threshold") or hasattr(module, "threshold")


def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[Layer]:
    """The layers of named arrays, in their order."""
    grouped: dict[str, Arrays] = {}
    for name, array in arrays.items():
        prefix, _, field = name.rpartition(".")
        if field != "num_batches_tracked":
            grouped.setdefault(prefix, {})[field] = array
    return [_layer(name, fields) for name, fields in grouped.items()]


def _living(module: Any, name: str) -> Layer | None:
    """A layer, neuron or strange container; None for what holds nothing and is no neuron."""
    kind, library = type(module).__name__, type(module).__module__.split(".")[0]
    try:
        neuron = neuron_of(module)
    except (TypeError, ValueError) as error:
        return Layer(name, "neuron", _own_arrays(module), None, f"{kind}: {error}")
    if neuron is not None:
        return Layer(name, "neuron", _own_arrays(module), neuron, None, getattr(module, "decay_input", False))
    if list(module.children()):
        return Layer(name, "other", {}, None, f"what {kind} does with its parts is nothing of ours")
    if library not in LIBRARIES:
        return Layer(name, "other", {}, None, f"{kind} is a class unknown here")
    own = _own_arrays(module)
    if own and kind in KNOWN and (kind != "WSConv2d" or "gain" in own):
        settings = {field: getattr(module, field) for field in SETTINGS if hasattr(module, field)}
        return _layer(name, own)._replace(settings=settings)
    return None if kind in SILENT else Layer(name, "other", own, None, f"{kind} is none of the layers of ours")


def _own_arrays(module: Any) -> Arrays:
    state = module.state_dict()
    return {} if not state else {key: v for key, v in read_state_dict(state).items() if key != "num_batches_tracked"}


def _layer(name: str, fields: Arrays) -> Layer:
    """A layer by its fields and the ranks of its weights."""
    rank = fields["weight"].ndim if "weight" in fields else None
    names = fields.keys()
    if names >= STATISTICS and names <= STATISTICS | {"weight", "bias"}:
        return Layer(name, "norm", fields)
    if names == LEAKY:
        return _leaky(name, fields)
    if rank == 4 and names <= {"weight", "bias", "gain"}:
        return Layer(name, "convolution", fields)
    if rank == 2 and names <= {"weight", "bias"}:
        return Layer(name, "linear", fields)
    if rank == 3 and fields["weight"].shape[:2] == (1, 1) and names <= {"weight", "bias"}:
        return Layer(name, "attention", fields)
    if rank == 1 and names <= {"weight", "bias"}:
        return Layer(name, "norm", fields, None, "a norm without running statistics, which inference needs")
    if names == {"w"} and fields["w"].ndim == 0:
        return Layer(name, "neuron", fields, None, PARAMETRIC)
    what = next((text for field, text in UNKNOWN.items() if field in names), None)
    refusal = None if what is None else f"{what}, with the fields {', '.join(names)}, is none of ours"
    return Layer(name, "other", fields, None, refusal)


PARAMETRIC = (
    "a state_dict says neither the threshold of a ParametricLIFNode nor whether its input decays; give the network "
    "itself instead of its state_dict"
)


def _leaky(name: str, fields: Arrays) -> Layer:
    """A Leaky of snnTorch, as far as its buffers say; that its reset comes a step late they do not."""
    try:
        numbers = {field: one_number(field, array) for field, array in fields.items()}
        mechanism = numbers["reset_mechanism_val"]
        if mechanism not in (0, 1, 2):
            raise ValueError(f"its reset_mechanism_val is {mechanism:g}, and there are 0, 1 and 2")
        neuron = snntorch_leaky(
            numbers["beta"],
            threshold=numbers["threshold"],
            reset_mechanism=MECHANISMS[math.floor(mechanism)],
            graded_spikes_factor=numbers["graded_spikes_factor"],
        )
    except ValueError as error:
        return Layer(name, "neuron", fields, None, str(error))
    return Layer(name, "neuron", fields, neuron)
