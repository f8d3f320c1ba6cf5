"""What layers of the library's networks are called in PyTorch."""

from typing import Any

from hdlif_jax.nn import Identity, PostActivationResNet, Sequential, SpikingNetwork, SpikingResNet, SpikingVGG

POST = {  # of a block, as in torchvision and SpikingJelly's spiking_resnet
    "conv1": "conv1",
    "norm1": "bn1",
    "neuron1": "sn1",
    "conv2": "conv2",
    "norm2": "bn2",
    "neuron2": "sn2",
    "shortcut.conv": "downsample.0",
    "shortcut.norm": "downsample.1",
}
PRE = {  # of a block, whose neurons stand before the convolutions
    "neuron1": "act1",
    "conv1": "conv1",
    "norm1": "bn1",
    "attention1": "attention1",
    "neuron2": "act2",
    "conv2": "conv2",
    "norm2": "bn2",
    "attention2": "attention2",
    "downsample.conv": "downsample.0",
    "downsample.norm": "downsample.1",
}
HEAD = {"head": "fc", "head.hidden": "fc1", "head.neuron": "sn2", "head.output": "fc2"}


def names_of(model: SpikingNetwork) -> dict[str, str]:
    """What PyTorch users call the layers of a network, by our paths; of networks that have no counterpart nothing.

    ResNets go by torchvision's names, as SpikingJelly's do and most authors' (`conv1`, `bn1`, `layer1.0.conv1`, …,
    `fc`), with `sn1` and `sn2` for the neurons of post-activation and `act1` and `act2` for those of pre-activation
    blocks; VGGs by torchvision's `features` and `classifier`, counted with neurons, pools and dropout; a `Sequential`
    by its indices.
    """
    if isinstance(model, Sequential):
        return {f"layers.{index}": str(index) for index in range(len(model.layers))}
    if isinstance(model, PostActivationResNet):
        return {"stem": "conv1", "stem_norm": "bn1", "neuron": "sn1"} | HEAD | _stages(model, POST, "shortcut")
    if isinstance(model, SpikingResNet):
        return {"stem": "conv1", "stem_norm": "bn1"} | HEAD | _stages(model, PRE, "downsample")
    if isinstance(model, SpikingVGG):
        return _vgg(model)
    return {}


def _stages(model: Any, block_names: dict[str, str], shortcut: str) -> dict[str, str]:
    """Blocks counted within stages; a stage begins with a block that changes the shape."""
    names: dict[str, str] = {}
    stage, index = 1, 0
    for number, block in enumerate(model.blocks):
        kernel, begins = block.conv1.kernel, block.conv1.stride > 1
        if number and (begins or kernel.shape[2] != kernel.shape[3]):
            stage, index = stage + 1, 0
        for ours, theirs in block_names.items():
            names[f"blocks.{number}.{ours}"] = f"layer{stage}.{index}.{theirs}"
        index += 1
    return names


def _vgg(model: SpikingVGG) -> dict[str, str]:
    names: dict[str, str] = {}
    position = 0
    for number, unit in enumerate(model.units):
        parts = [("conv", unit.conv), ("norm", unit.norm), ("attention", unit.attention), ("neuron", unit.neuron)]
        for part, module in [*parts, ("dropout", unit.dropout)]:
            if module is not None and not isinstance(module, Identity):
                names[f"units.{number}.{part}"] = f"features.{position}"
                position += 1
        position += number in model.pooled_units
    position = 0
    for number, unit in enumerate(model.hidden):
        names[f"hidden.{number}.linear"], names[f"hidden.{number}.neuron"] = (
            f"classifier.{position}",
            f"classifier.{position + 1}",
        )
        position += 2 + (unit.dropout is not None)
    return names | {"head": f"classifier.{position}"}
