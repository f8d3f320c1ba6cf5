"""ResNet-18 of HD-LIF neurons in PyTorch, written from the equations: what the benchmarks compare with.

Eager PyTorch as one would write it with care: convolutions in channels-last layout, kernels quantised once per batch
and not once per time-step, the stem of a static image run once, no graph for the steps that do not learn. `load` copies
the arrays of our network into it, so that both can be shown to compute the same.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim import Optimizer

from hdlif_jax.nn import Params, Variables

State = list[torch.Tensor | None]  # residual potentials by block; None is zero

SPIKE_SCALE, MAX_LEVEL = 0.25, 15
MOMENTUM, WEIGHT_DECAY, LEARNING_RATE, LABEL_SMOOTHING = 0.9, 5e-4, 0.01, 0.1


class Ternary(torch.autograd.Function):
    """Ŵ = a·sign(W)·1[|W| > 0.7·mean|W|] of the clipped W; straight-through gradient inside (−1, 1)."""

    @staticmethod
    def forward(context: Any, kernel: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(kernel)
        magnitude = kernel.abs().clamp(max=1)
        kept = (magnitude > 0.7 * magnitude.mean()).to(kernel.dtype)
        scale = (magnitude * kept).sum() / kept.sum()  # not magnitude[kept]: a GPU would wait for that shape
        return kernel.sign() * kept * scale

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        (kernel,) = context.saved_tensors
        return gradient * (kernel.abs() < 1)


class Quantize(torch.autograd.Function):
    """Q = s·clip(round(x/s), 0, 15); gradient 1 everywhere."""

    @staticmethod
    def forward(context: Any, raw_spikes: torch.Tensor) -> torch.Tensor:
        return (raw_spikes / SPIKE_SCALE).round().clamp(0, MAX_LEVEL) * SPIKE_SCALE

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


def fire(membrane: torch.Tensor, threshold: torch.Tensor, quantized: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """V = min(m, θ) and s = Q(max(m − θ, 0)), with the derivatives of the silent side at the tie."""
    fires = membrane > threshold
    residual = torch.where(fires, threshold, membrane)
    raw_spikes = torch.where(fires, membrane - threshold, torch.zeros_like(membrane))
    return residual, Quantize.apply(raw_spikes) if quantized else raw_spikes


class HDLIF(nn.Module):
    """Eq. 4 with λ_t = sigmoid(raw), θ_t = sigmoid(raw)."""

    def __init__(self, num_steps: int, quantized: bool):
        super().__init__()
        self.raw_decay = nn.Parameter(torch.zeros(num_steps))
        self.raw_threshold = nn.Parameter(torch.zeros(num_steps))
        self.quantized = quantized

    def forward(self, residual, current, t):
        membrane = current if residual is None else torch.sigmoid(self.raw_decay[t]) * residual + current
        return fire(membrane, torch.sigmoid(self.raw_threshold[t]), self.quantized)


class ParallelHDLIF(nn.Module):
    """No leak, no charge, no state."""

    def __init__(self, num_steps: int, quantized: bool):
        super().__init__()
        self.raw_threshold = nn.Parameter(torch.zeros(num_steps))
        self.quantized = quantized

    def forward(self, residual, current, t):
        return None, fire(current, torch.sigmoid(self.raw_threshold[t]), self.quantized)[1]


class Conv(nn.Module):
    """Convolution with the kernel that `quantize_kernel` left in `effective`."""

    effective: torch.Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, ternary: bool = False
    ):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_normal_(self.kernel)
        self.stride, self.padding, self.ternary = stride, kernel_size // 2, ternary

    def quantize_kernel(self) -> None:
        kernel = Ternary.apply(self.kernel) if self.ternary else self.kernel
        self.effective = kernel.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, learns: bool) -> torch.Tensor:
        kernel = self.effective if learns else self.effective.detach()
        return functional.conv2d(x, kernel, stride=self.stride, padding=self.padding)


class Block(nn.Module):
    """Fig. 3 (b): HD-LIF → conv → BN → Parallel HD-LIF → conv → BN, plus the current."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, num_steps: int, compressed: bool):
        super().__init__()
        self.neuron1 = HDLIF(num_steps, compressed)
        self.conv1 = Conv(in_channels, out_channels, stride=stride, ternary=compressed)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.neuron2 = ParallelHDLIF(num_steps, compressed)
        self.conv2 = Conv(out_channels, out_channels, ternary=compressed)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.ModuleDict(
                {"conv": Conv(in_channels, out_channels, 1, stride, compressed), "norm": nn.BatchNorm2d(out_channels)}
            )

    def forward(
        self, residual: torch.Tensor | None, current: torch.Tensor, t: Any, learns: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        residual, spikes = self.neuron1(residual, current, t)
        hidden = self.norm1(self.conv1(spikes, learns))
        _, spikes = self.neuron2(None, hidden, t)
        output = self.norm2(self.conv2(spikes, learns))
        if self.downsample is not None:
            current = self.downsample["norm"](self.downsample["conv"](current, learns))
        return residual, output + current


class ResNet18(nn.Module):
    """The CIFAR network of `hdlif_jax.nn.resnet18`; `compressed` has ternary kernels and 4-bit spikes, else float."""

    def __init__(self, num_classes: int = 100, num_steps: int = 4, width: int = 64, compressed: bool = True):
        super().__init__()
        self.num_steps, self.frozen = num_steps, False
        self.stem = Conv(3, width)
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList()
        in_channels = width
        for stage in range(4):
            for index in range(2):
                stride = 2 if stage > 0 and index == 0 else 1
                self.blocks.append(Block(in_channels, width * 2**stage, stride, num_steps, compressed))
                in_channels = width * 2**stage
        self.head = nn.Linear(in_channels, num_classes)

    def start(self, current: torch.Tensor) -> State:
        """The state of v_0 = 0."""
        del current  # the neurons make the zeros
        return [None] * len(self.blocks)

    def quantize_kernels(self) -> None:
        """Makes the kernels that convolutions use of those that are learned."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.quantize_kernel()

    def freeze(self) -> None:
        """Quantises the kernels once for all inferences to come."""
        self.eval()
        with torch.no_grad():
            self.quantize_kernels()
        self.frozen = True

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Quantises the kernels for this batch, unless they are frozen, and runs the stem."""
        if not self.frozen:
            self.quantize_kernels()
        return self.stem_norm(self.stem(images, not self.frozen))

    def step(self, state: State, current: torch.Tensor, t: Any, learns: bool) -> tuple[State, torch.Tensor]:
        """One time-step: the new state and logits."""
        new_state: State = []
        for residual, block in zip(state, self.blocks, strict=True):
            residual, current = block(residual, current, t, learns)
            new_state.append(residual)
        return new_state, self.head(current.mean((2, 3)))

    def load(self, variables: Variables) -> None:
        """Copies the parameters and statistics of our network."""
        load(self, variables, {"kernel": "kernel"})


class CompiledResNet18(ResNet18):
    """The same under torch.compile: zeros as first state and tensors as t, so that all time-steps share two graphs."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        torch._dynamo.config.fail_on_recompile_limit_hit = True  # and not go on as eager PyTorch
        self._compiled_encode = torch.compile(super().encode, dynamic=False)
        self._compiled_step = torch.compile(super().step, dynamic=False)

    def start(self, current: torch.Tensor) -> State:
        """Zeros of the shape of each block's input."""
        state: State = []
        size = current.shape[-1]
        block: Any
        for block in self.blocks:
            shape = (len(current), block.conv1.kernel.shape[1], size, size)
            state.append(torch.zeros(shape, device=current.device).to(memory_format=torch.channels_last))
            size //= block.conv1.stride
        return state

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """As `ResNet18.encode`."""
        current: torch.Tensor = self._compiled_encode(images)
        return current

    def step(self, state: State, current: torch.Tensor, t: Any, learns: bool) -> tuple[State, torch.Tensor]:
        """As `ResNet18.step`."""
        t = torch.tensor([t], device=current.device)
        result: tuple[State, torch.Tensor] = self._compiled_step(state, current, t, learns)
        return result


def forget_compiled() -> None:
    """Lets torch.compile begin anew: what it compiled for other networks of this process counts towards its limit."""
    torch.compiler.reset()


def load(model: nn.Module, variables: Variables, names: dict[str, str]) -> None:
    """Copies the arrays of our network into modules of the same names.

    Args:
      model: the network in PyTorch.
      variables: ours, as arrays of numpy.
      names: what a leaf of a name is called there, beside those of BatchNorm and of the head.
    """
    names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"} | names
    state = model.state_dict()
    for path, array in [*_leaves("", variables.params), *_leaves("", variables.batch_stats)]:
        *modules, name = path.split(".")
        theirs = "weight" if modules == ["head"] and name == "kernel" else names.get(name, name)
        value = torch.tensor(array)
        if value.ndim == 4:
            value = value.permute(3, 2, 0, 1)
        elif value.ndim == 2:
            value = value.T
        state[".".join([*modules, theirs])].copy_(value)


def _leaves(prefix: str, tree: Params) -> Iterator[tuple[str, np.ndarray]]:
    for name, child in tree.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(child, dict):
            yield from _leaves(path, child)
        else:
            yield path, child


def make_optimizer(model: nn.Module) -> Optimizer:
    """SGD with Nesterov momentum and weight decay on kernels, as our trainer's default."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    rest = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True)


def online_step(
    model: ResNet18, optimizer: Optimizer, images: torch.Tensor, labels: torch.Tensor, step: int
) -> torch.Tensor:
    """Algorithm 1 for one batch with t* = `step` (from 0): loss, still on the device."""
    model.train()
    optimizer.zero_grad(set_to_none=True)
    current = model.encode(images)
    state = model.start(current)
    with torch.no_grad():
        for t in range(step):
            state, _ = model.step(state, current, t, learns=False)
    _, logits = model.step(state, current, step, learns=True)
    loss = functional.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
    loss.backward()
    optimizer.step()
    return loss.detach()


def stbp_step(model: ResNet18, optimizer: Optimizer, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The full gradient through time for one batch: mean loss of the time-steps, still on the device."""
    model.train()
    optimizer.zero_grad(set_to_none=True)
    current = model.encode(images)
    state, loss = model.start(current), torch.zeros((), device=images.device)
    for t in range(model.num_steps):
        state, logits = model.step(state, current, t, learns=True)
        loss = loss + functional.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
    loss.backward()
    optimizer.step()
    return loss.detach() / model.num_steps


def rollout(model: ResNet18, images: torch.Tensor) -> torch.Tensor:
    """Logits of all time-steps `[T, B, K]`."""
    current = model.encode(images)
    state, logits = model.start(current), []
    for t in range(model.num_steps):
        state, step_logits = model.step(state, current, t, learns=False)
        logits.append(step_logits)
    return torch.stack(logits)


def infer(model: ResNet18, images: torch.Tensor) -> torch.Tensor:
    """Logits of all time-steps `[T, B, K]` with the running statistics."""
    model.eval()
    with torch.inference_mode():
        return rollout(model, images)
