"""The checks before anything is timed: that all implementations compute the same."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from experiments.benchmarks.cifar100 import NUM_CLASSES
from experiments.benchmarks.references import torch as torch_reference
from experiments.benchmarks.references.agreement import distance, full_float32
from experiments.benchmarks.train_speed.cases import INFERENCE, Implementation
from experiments.benchmarks.train_speed.setup import (
    LIF,
    MEAN,
    NUM_STEPS,
    STD,
    Task,
    bare_step,
    drawing_steps,
    images_of,
    model_of,
    torch_batch,
    torch_device,
)
from hdlif_jax import learning, nn, rollout
from hdlif_jax.training import normalize

# Where a membrane lies at a threshold or between two levels, another order of summation moves a spike, and in training
# mode BatchNorm hands that on to all images: one such spike in a batch makes the stem's gradient differ by 50 %. It
# happens in batches of 64, where PyTorch's channels-last BatchNorm alone rounds to 6e-6. So gradients are compared on
# batches of few images in full float32 with PyTorch in float64, until one batch has no such spike.
LOGITS, LOSS, UPDATE = 5e-2, 5e-2, 1e-3  # of logits 1e-2 at width 32; other networks differ by more than 1
ROUNDED_LOGITS = 0.5  # as timed on a GPU, where TensorFloat-32 moves spikes; other networks differ by more than 1
FEW_IMAGES, TRIES, NARROW = 2, 8, 8


def check_logits(task: Task) -> dict[str, Any]:
    """‖ours − theirs‖ / ‖theirs‖ of the logits of all time-steps with running statistics, in float32.

    Raises:
      SystemExit: they differ by more than rounding explains.
    """
    variables = nn.variables_of(task.model)
    network = nn.inference_form(task.model)
    inputs = normalize(task.batch.inputs, MEAN, STD)
    with full_float32():
        ours = np.asarray(jax.jit(lambda variables, x: rollout.rollout(network, variables, x))(variables, inputs))
        references = _reference_logits(task, jax.tree.map(np.asarray, variables))
    found: dict[str, Any] = {}
    for name, theirs in references.items():
        if isinstance(theirs, str):
            found[name] = theirs
            continue
        found[name] = distance(ours, theirs)
        if not found[name] <= LOGITS:
            raise SystemExit(
                f"{name}: logits differ by {found[name]:.1e} of their norm: these are not the same networks"
            )
    return found


def _reference_logits(task: Task, variables: nn.Variables) -> dict[str, np.ndarray | str]:
    inputs, _ = torch_batch(task.batch)
    if task.preset != LIF:
        reference = torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, task.width)
        reference.load(variables)
        return {"PyTorch": torch_reference.infer(reference.to(torch_device()), inputs).cpu().numpy()}
    try:
        from experiments.benchmarks.references import spikingjelly  # optional
    except ModuleNotFoundError as error:
        return {"SpikingJelly": f"not installed: {error.name}"}
    found: dict[str, np.ndarray | str] = {}
    for name, online in {"SLTTLIFNode": True, "LIFNode, multi-step": False}.items():
        jelly = spikingjelly.ResNet18(NUM_CLASSES, NUM_STEPS, task.width, online)
        jelly.load(variables)
        found[name] = spikingjelly.infer(jelly.to(torch_device()), inputs).cpu().numpy()
    return found


def check_gradients(task: Task) -> dict[str, Any]:
    """The stem's kernel, the longest way back, after one update of ours and of the reference in float64.

    HD-LIF learns at t* = 2, whose first step runs forward only; LIF learns from all time-steps online.

    Raises:
      SystemExit: they differ by more than rounding explains on all batches.
    """
    is_lif, width = task.preset == LIF, min(task.width, NARROW)
    model = model_of(task.preset, width)
    variables = jax.tree.map(np.asarray, nn.variables_of(model))
    rule = learning.accumulate() if is_lif else learning.random_step()
    state, step = bare_step(model, rule)
    state = dataclasses.replace(state, step=jnp.int32(0 if is_lif else drawing_steps()[1]))
    before = np.asarray(state.params["stem"]["kernel"])
    differences: list[float] = []
    try:
        with full_float32():
            learn = jax.jit(step)
            for trial in range(TRIES):
                batch = images_of(task.dataset, trial * FEW_IMAGES, FEW_IMAGES)
                after, _ = learn(state, batch)
                expected = (_float64_lif if is_lif else _float64_hd_lif)(variables, width, batch)
                differences.append(distance(np.asarray(after.params["stem"]["kernel"]) - before, expected))
                if differences[-1] <= UPDATE:
                    return {"stem_update_against_float64": differences, "images": FEW_IMAGES, "width": width}
    except ModuleNotFoundError as error:
        return {"stem_update_against_float64": f"not installed: {error.name}"}
    raise SystemExit(
        f"{task.preset}: the stem's first update differs from float64 by {differences}: not the same gradient"
    )


def _float64_hd_lif(variables: nn.Variables, width: int, batch: learning.Batch) -> np.ndarray:
    reference = torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width).double()
    reference.load(variables)
    inputs, labels = _float64(batch)
    optimizer = torch_reference.make_optimizer(reference)
    return movement(reference.stem.kernel, lambda: torch_reference.online_step(reference, optimizer, inputs, labels, 1))


def _float64_lif(variables: nn.Variables, width: int, batch: learning.Batch) -> np.ndarray:
    from experiments.benchmarks.references import spikingjelly  # optional

    reference = spikingjelly.ResNet18(NUM_CLASSES, NUM_STEPS, width, online=True).double()
    reference.load(variables)
    inputs, labels = _float64(batch)
    optimizer = torch_reference.make_optimizer(reference)
    return movement(reference.stem.weight, lambda: spikingjelly.train_step(reference, optimizer, inputs, labels))


def _float64(batch: learning.Batch) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = torch_batch(batch)
    return inputs.double().cpu(), labels.cpu()  # few, and no kernel for GPUs rounds them


def movement(kernel: torch.Tensor, update: Callable[[], Any]) -> np.ndarray:
    """How an update moves a kernel of PyTorch, `[H, W, in, out]`."""
    before = kernel.detach().clone()
    update()
    moved: np.ndarray = (kernel.detach() - before).permute(2, 3, 1, 0).cpu().numpy()
    return moved


def check_timed(members: Sequence[Implementation], on_gpu: bool, found: dict[str, dict[str, float]]) -> None:
    """What implementations computed at first, as they are timed, in `found`: by case, then by implementation.

    Losses of a case must be the same, and the logits of inference those of the first implementation.

    Raises:
      SystemExit: they differ by more than single spikes explain.
    """
    compared: dict[str, dict[str, float]] = {}
    expected: np.ndarray | None = None
    for member in members:
        name = f"{member.name}, {member.precision}"
        if member.first_loss is not None:
            case, loss = member.first_loss
            found.setdefault(f"first loss, {case}", {})[name] = loss
            if member.trains_alike:
                compared.setdefault(case, {})[name] = loss
        if member.logits is not None:
            expected = member.logits if expected is None else expected
            difference = distance(member.logits, expected)
            found.setdefault(f"logits, {INFERENCE}, against the first", {})[name] = difference
            if not difference <= (ROUNDED_LOGITS if on_gpu else LOGITS):
                raise SystemExit(f"{name}: logits differ by {difference:.1e} of their norm from the first one's")
    for case, losses in compared.items():
        spread = (max(losses.values()) - min(losses.values())) / min(losses.values())
        if not spread <= LOSS:
            raise SystemExit(f"{case}: the first losses are {losses}; a spread of {spread:.1e}, allowed is {LOSS}")
