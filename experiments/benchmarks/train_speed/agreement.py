"""The checks of `benchmarks.train_speed`: that all implementations compute the same, before any is timed."""

import dataclasses
from typing import Any

import jax
import numpy as np

from benchmarks import torch_reference
from benchmarks.agreement import distance, full_float32
from benchmarks.train_speed_setup import (
    MEAN,
    NUM_CLASSES,
    NUM_STEPS,
    STD,
    bare_trainer,
    drawing_steps,
    model_of,
    torch_batch,
    torch_device,
)
from hdlif_jax import nn, rollout
from hdlif_jax.training import normalize

# Where a membrane lies at a threshold or between two levels, another order of summation moves a spike, and in training
# mode BatchNorm hands that on to all images: one such spike in a batch makes the stem's gradient differ by 50 %. It
# happens in batches of 64, where PyTorch's channels-last BatchNorm alone rounds to 6e-6. So gradients are compared on
# batches of few images in full float32 with PyTorch in float64, until one batch has no such spike.
LOGITS, LOSS, UPDATE = 1e-2, 5e-2, 1e-3
FEW_IMAGES, TRIES, NARROW = 2, 8, 8


def check_logits(model, width, is_lif, images, labels) -> dict[str, Any]:
    """‖ours − theirs‖ / ‖theirs‖ of the logits of all time-steps with running statistics, in float32.

    Raises:
      SystemExit: they differ by more than rounding explains.
    """
    variables = nn.variables_of(model)
    network = nn.inference_form(model)
    inputs = normalize(images, MEAN, STD)
    with full_float32():
        ours = np.asarray(jax.jit(lambda variables, x: rollout.rollout(network, variables, x))(variables, inputs))
        references = _reference_logits(jax.tree.map(np.asarray, variables), width, is_lif, images, labels)
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


def _reference_logits(variables, width, is_lif, images, labels):
    inputs, _ = torch_batch(images, labels)
    if not is_lif:
        reference = torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width)
        reference.load(variables)
        return {"PyTorch": torch_reference.infer(reference.to(torch_device()), inputs).cpu().numpy()}
    try:
        from benchmarks import spikingjelly_reference  # optional
    except ModuleNotFoundError as error:
        return {"SpikingJelly": f"not installed: {error.name}"}
    found = {}
    for name, online in {"SLTTLIFNode": True, "LIFNode, multi-step": False}.items():
        reference = spikingjelly_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width, online)
        reference.load(variables)
        found[name] = spikingjelly_reference.infer(reference.to(torch_device()), inputs).cpu().numpy()
    return found


def check_gradients(preset, width, dataset) -> dict[str, Any]:
    """The stem's kernel, the longest way back, after one update of ours and of the reference in float64.

    HD-LIF learns at t* = 2, whose first step runs forward only; LIF learns from all time-steps online.

    Raises:
      SystemExit: they differ by more than rounding explains on all batches.
    """
    is_lif, width = preset.endswith("-lif"), min(width, NARROW)
    try:
        reference_step = _float64_lif if is_lif else _float64_hd_lif
        model = model_of(preset, width)
        variables = jax.tree.map(np.asarray, nn.variables_of(model))
        trainer = bare_trainer(preset, width, dataset, FEW_IMAGES, "accumulate" if is_lif else "random_step")
        state = dataclasses.replace(trainer.initial_state, step=np.int32(0 if is_lif else drawing_steps(0)[1]))
        before = np.array(state.params["stem"]["kernel"])
        differences: list[float] = []
        with full_float32():
            step = jax.jit(trainer.train_step)  # around the jitted one, so that the first state is not given away
            for trial in range(TRIES):
                images, labels = dataset.train.read(np.arange(FEW_IMAGES) + trial * FEW_IMAGES)
                after, _ = step(state, images, labels)
                expected = reference_step(variables, width, *torch_batch(images, labels))
                differences.append(distance(np.array(after.params["stem"]["kernel"]) - before, expected))
                if differences[-1] <= UPDATE:
                    return {"stem_update_against_float64": differences, "images": FEW_IMAGES, "width": width}
    except ModuleNotFoundError as error:
        return {"stem_update_against_float64": f"not installed: {error.name}"}
    raise SystemExit(f"{preset}: the stem's first update differs from float64 by {differences}: not the same gradient")


def _float64_hd_lif(variables, width, inputs, labels):
    reference = torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width).double()
    reference.load(variables)
    inputs, labels = inputs.double().cpu(), labels.cpu()  # few, and no kernel for GPUs rounds them
    optimizer = torch_reference.make_optimizer(reference)
    return movement(reference.stem.kernel, lambda: torch_reference.online_step(reference, optimizer, inputs, labels, 1))


def _float64_lif(variables, width, inputs, labels):
    from benchmarks import spikingjelly_reference  # optional

    reference = spikingjelly_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width, online=True).double()
    reference.load(variables)
    inputs, labels = inputs.double().cpu(), labels.cpu()  # few, and no kernel for GPUs rounds them
    optimizer = torch_reference.make_optimizer(reference)
    return movement(
        reference.stem.weight, lambda: spikingjelly_reference.train_step(reference, optimizer, inputs, labels)
    )


def movement(kernel, update) -> np.ndarray:
    """How an update moves a kernel of PyTorch, `[H, W, in, out]`."""
    before = kernel.detach().clone()
    update()
    return (kernel.detach() - before).permute(2, 3, 1, 0).cpu().numpy()


def check_losses(members, found: dict[str, dict[str, float]]) -> None:
    """Adds the first losses of implementations, as they are timed, to `found`: by case, then by implementation.

    Raises:
      SystemExit: those of one case differ by more than single spikes explain. Through time, SpikingJelly's BatchNorm is
        another (`spikingjelly_reference`), so that those losses are recorded alone.
    """
    for member in members:
        if member.first_loss is not None:
            case, loss = member.first_loss
            found.setdefault(case, {})[f"{member.name}, {member.precision}"] = loss
    for case, losses in found.items():
        spread = (max(losses.values()) - min(losses.values())) / min(losses.values())
        if case != "stbp" and not spread <= LOSS:
            raise SystemExit(f"{case}: the first losses are {losses}; a spread of {spread:.1e}, allowed is {LOSS}")
