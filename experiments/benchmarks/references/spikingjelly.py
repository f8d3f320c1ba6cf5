"""The LIF ResNet-18 of `hdlif_jax.nn.resnet18` in SpikingJelly: online (`SLTTLIFNode`) and multi-step (`LIFNode`).

The neurons equal ours at initialisation: τ = 2 without decay of the input is λ = 0.5, threshold 1, reset by
subtraction (`v_reset=None`) with a gradient through it, and `PiecewiseQuadratic(1)` is the triangle of width 1. Two
things cannot be made equal. SpikingJelly's λ and θ are not learned. And its BatchNorm in multi-step mode takes one mean
over batch and all time-steps, ours one per time-step, so that multi-step outputs agree with running statistics only.

SpikingJelly asks for torchvision and torchaudio, which nothing here uses: where they do not fit the PyTorch that is
there, `pip install --no-deps spikingjelly==2.0.0 loguru` is enough.
"""

from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from experiments.benchmarks.references import torch as torch_reference
from hdlif_jax.nn import Params, Variables

DIFFERENCES = {
    "leak and threshold": "learned here, constants in SpikingJelly's LIF; equal at initialisation",
    "BatchNorm": "of each time-step here, of all together in SpikingJelly's multi-step mode; equal in inference",
}


def _node(online: bool) -> nn.Module:
    options: dict[str, Any] = {"tau": 2.0, "decay_input": False, "v_threshold": 1.0, "v_reset": None}
    triangle = surrogate.PiecewiseQuadratic(alpha=1.0)
    if online:
        return neuron.SLTTLIFNode(**options, surrogate_function=triangle)
    return neuron.LIFNode(**options, surrogate_function=triangle, detach_reset=False)


def _conv(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Module:
    padding = kernel_size // 2
    return layer.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)


class Block(nn.Module):
    """Fig. 3 (a): LIF → conv → BN → LIF → conv → BN, plus the current."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, online: bool):
        super().__init__()
        self.neuron1 = _node(online)
        self.conv1 = _conv(in_channels, out_channels, stride=stride)
        self.norm1 = layer.BatchNorm2d(out_channels)
        self.neuron2 = _node(online)
        self.conv2 = _conv(out_channels, out_channels)
        self.norm2 = layer.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.ModuleDict(
                {"conv": _conv(in_channels, out_channels, 1, stride), "norm": layer.BatchNorm2d(out_channels)}
            )

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        output = self.norm1(self.conv1(self.neuron1(current)))
        output = self.norm2(self.conv2(self.neuron2(output)))
        if self.downsample is not None:
            current = self.downsample["norm"](self.downsample["conv"](current))
        return output + current


class ResNet18(nn.Module):
    """Stem, blocks, average, linear head; `online` steps through time, else all time-steps go through each layer."""

    def __init__(self, num_classes: int = 100, num_steps: int = 4, width: int = 64, online: bool = True):
        super().__init__()
        self.num_steps, self.online = num_steps, online
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential()
        in_channels = width
        for stage in range(4):
            for index in range(2):
                stride = 2 if stage > 0 and index == 0 else 1
                self.blocks.append(Block(in_channels, width * 2**stage, stride, online))
                in_channels = width * 2**stage
        self.head = nn.Linear(in_channels, num_classes)
        functional.set_step_mode(self.blocks, "s" if online else "m")

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """The stem, once per batch of static images, and neurons at rest."""
        functional.reset_net(self)
        return self.stem_norm(self.stem(images))

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        """Current `[B, C, H, W]` to logits `[B, K]`, or `[T, B, C, H, W]` to `[T, B, K]`."""
        return self.head(self.blocks(current).mean((-2, -1)))

    def load(self, variables: Variables) -> None:
        """Copies the parameters and statistics of our network, whose leaks and thresholds must still be the first."""
        kept = Variables(*(_without_neurons(tree) for tree in variables))
        torch_reference.load(self, kept, {"kernel": "weight"})


def _without_neurons(tree: Params) -> Params:
    """A nested dict without the leaks and thresholds of LIF.

    Raises:
      ValueError: they have been trained, and SpikingJelly has constants.
    """
    kept: Params = {}
    for name, child in tree.items():
        if isinstance(child, dict):
            kept[name] = _without_neurons(child)
        elif name in ("raw_decay", "threshold"):
            if child != (0.0 if name == "raw_decay" else 1.0):
                raise ValueError(
                    f"{name}={child} has been trained; SpikingJelly's LIF has constants, load a new network"
                )
        else:
            kept[name] = child
    return kept


def train_step(model: ResNet18, optimizer: Optimizer, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One update from all time-steps, online or through time: mean loss, still on the device."""
    model.train()
    optimizer.zero_grad(set_to_none=True)
    smoothing = torch_reference.LABEL_SMOOTHING
    current = model.encode(images)
    if model.online:
        # Each step's graph is freed at once; the stem, which all share, learns from the sum of their gradients.
        shared = current.detach().requires_grad_()
        total = torch.zeros((), device=images.device)
        for _ in range(model.num_steps):
            loss = cross_entropy(model(shared), labels, label_smoothing=smoothing)
            loss.backward()
            total += loss.detach()
        current.backward(shared.grad)
    else:
        logits = model(current.expand(model.num_steps, *current.shape))
        loss = cross_entropy(logits.flatten(0, 1), labels.repeat(model.num_steps), label_smoothing=smoothing)
        (model.num_steps * loss).backward()  # the sum over time-steps of each one's mean over the batch
        total = model.num_steps * loss.detach()
    optimizer.step()
    return total / model.num_steps


def infer(model: ResNet18, images: torch.Tensor) -> torch.Tensor:
    """Logits of all time-steps `[T, B, K]` with the running statistics."""
    model.eval()
    with torch.inference_mode():
        current = model.encode(images)
        if model.online:
            logits = torch.stack([model(current) for _ in range(model.num_steps)])
        else:
            logits = model(current.expand(model.num_steps, *current.shape))
        functional.reset_net(model)  # what inference mode made cannot be part of a later graph
        return logits
