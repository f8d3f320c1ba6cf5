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
POOLS = {"MaxPool2d": "maximum", "AvgPool2d": "average", "AdaptiveAvgPool2d": "average"}
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
    """

    name: str
    kind: str
    arrays: Arrays
    neuron: lif | None = None
    refusal: str | None = None
    decays_input: bool = False


def layers_of(source: Any) -> list[Layer]:
    """The layers of a state_dict, a file of one, or a living network, which says more of its neurons.

    Raises:
      TypeError: what is none of these.
      ValueError: a file that is damaged.
      ImportError: a file that takes PyTorch, which is not there.
      OSError: the file cannot be read.
    """
    if hasattr(source, "named_children") and hasattr(source, "state_dict"):
        return list(_living(source, ""))
    return from_arrays(read_state_dict(source))


def pools_of(source: Any) -> list[str] | None:
    """The pooling of a living network, such as "maximum of spikes"; None where its code cannot be seen."""
    if not hasattr(source, "modules"):
        return None
    found: list[str] = []
    before = ""
    for part in source.modules():
        kind, where = type(part).__name__, type(part).__module__.split(".")
        if where[0] not in LIBRARIES or (where[0] != "torch" and is_container(part) and not _is_known(part)):
            return None
        if kind in POOLS:
            found.append(f"{POOLS[kind]} of {'spikes' if before == 'neuron' else 'currents'}")
        if kind in POOLS or not (is_container(part) or kind in SILENT):
            before = "neuron" if hasattr(part, "v_threshold") or hasattr(part, "threshold") else "layer"
    return found


def is_container(module: Any) -> bool:
    """Whether a living module has parts, and is no neuron."""
    return bool(list(module.children())) and not (hasattr(module, "v_threshold") or hasattr(module, "threshold"))


def _is_known(container: Any) -> bool:
    """Whether a container of a library does what ours do with its parts."""
    where = type(container).__module__.split(".")
    return type(container).__name__ in CONTAINERS or where[-1] in NETWORKS or where[0] not in LIBRARIES


def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[Layer]:
    """The layers of named arrays, in their order."""
    grouped: dict[str, Arrays] = {}
    for name, array in arrays.items():
        prefix, _, field = name.rpartition(".")
        if field != "num_batches_tracked":
            grouped.setdefault(prefix, {})[field] = array
    return [_layer(name, fields) for name, fields in grouped.items()]


def _living(module: Any, name: str) -> Iterator[Layer]:
    kind, library = type(module).__name__, type(module).__module__.split(".")[0]
    try:
        neuron, refusal = neuron_of(module), None
    except (TypeError, ValueError) as error:
        neuron, refusal = None, f"{kind}: {error}"
    if neuron is not None or refusal is not None:
        yield Layer(name, "neuron", _own_arrays(module), neuron, refusal, getattr(module, "decay_input", False))
        return
    children = list(module.named_children())
    if children and not _is_known(module):
        yield Layer(name, "other", {}, None, f"what {kind} does with its parts is nothing of ours")
        return
    own = _own_arrays(module) if not children else {}
    if own:
        layer = _layer(name, own)
        yield layer if library in LIBRARIES else layer._replace(refusal=f"{kind} is a class unknown here")
    elif not children and not (kind in SILENT and library in LIBRARIES):
        yield Layer(name, "other", {}, None, f"{kind} is none of the layers of ours")
    for child, inner in children:
        yield from _living(inner, f"{name}.{child}" if name else child)


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
        mechanism = numbers.pop("reset_mechanism_val")
        if mechanism not in (0, 1, 2):
            raise ValueError(f"its reset_mechanism_val is {mechanism:g}, and there are 0, 1 and 2")
        neuron = snntorch_leaky(numbers.pop("beta"), reset_mechanism=MECHANISMS[math.floor(mechanism)], **numbers)
    except ValueError as error:
        return Layer(name, "neuron", fields, None, str(error))
    return Layer(name, "neuron", fields, neuron)
