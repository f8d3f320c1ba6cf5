"""The checks of `benchmarks.train_speed`: that all implementations compute the same, before any is timed."""

from typing import Any

import jax
import numpy as np
import torch

from benchmarks import torch_reference
from benchmarks.train_speed_cases import MEAN, NUM_CLASSES, NUM_STEPS, STD, torch_batch, torch_device
from hdlif_jax import nn, rollout
from hdlif_jax.training import normalize

# Where a membrane lies at a threshold or between two levels, another order of summation may move a spike.
LOGITS = 1e-2
LOSS = {"float32": 1e-2, "bfloat16": 3e-2}
UPDATE = {"float32": 0.1, "bfloat16": None}  # of the stem's kernel, the longest way back; None is recorded alone


def check_logits(model, width, is_lif, images, labels) -> dict[str, Any]:
    """‖ours − theirs‖ / ‖theirs‖ of the logits of all time-steps with running statistics, in full float32.

    Raises:
      SystemExit: they differ by more than rounding explains.
    """
    variables = nn.variables_of(model)
    network = nn.inference_form(model)
    inputs = normalize(images, MEAN, STD)
    with jax.default_matmul_precision("highest"):
        ours = np.asarray(jax.jit(lambda variables, x: rollout.rollout(network, variables, x))(variables, inputs))
    found: dict[str, Any] = {}
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    for name, theirs in _reference_logits(jax.tree.map(np.asarray, variables), width, is_lif, images, labels).items():
        if isinstance(theirs, str):
            found[name] = theirs
            continue
        found[name] = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
        if not found[name] <= LOGITS:
            raise SystemExit(f"{name}: logits differ by {found[name]:.1e} of their norm: these are not the same networks")
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
    return {"logits": found}


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
    found = {"not equal in training": str(spikingjelly_reference.DIFFERENCES)}
    for name, online in {"SLTTLIFNode": True, "LIFNode, multi-step": False}.items():
        reference = spikingjelly_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width, online)
        reference.load(variables)
        found[name] = spikingjelly_reference.infer(reference.to(torch_device()), inputs).cpu().numpy()
    return found


def check_update(members, on_gpu: bool) -> dict[str, Any]:
    """Loss and movement of the stem's kernel in the first update, at the last t* or of all time-steps.

    Each of ours is compared with the first implementation of another library that runs the same case. Through time,
    SpikingJelly's BatchNorm is another (`spikingjelly_reference`), so that its figures are recorded and not checked.

    Raises:
      SystemExit: they differ by more than rounding explains.
    """
    found = {}
    ours = [member for member in members if member.name.startswith("hdlif_jax") and member.first_update]
    for member in members:
        if member in ours:
            continue
        for mine in ours:
            case = list(mine.cases)[-1]
            if case != list(member.cases)[-1]:
                continue
            loss, stem = mine.first_update["loss"], mine.first_update["stem"]
            expected_loss, expected_stem = member.first_update["loss"], member.first_update["stem"]
            difference = {
                "loss": abs(loss - expected_loss) / expected_loss,
                "stem_update": float(np.linalg.norm(stem - expected_stem) / np.linalg.norm(expected_stem)),
                "checked": case != "stbp",
            }
            name = f"{mine.name}, {mine.precision}, {case}, against {member.name}"
            found[name] = difference
            allowed = {"loss": LOSS[mine.precision], "stem_update": None if on_gpu else UPDATE[mine.precision]}
            for figure, most in allowed.items():
                if difference["checked"] and most is not None and not difference[figure] <= most:
                    raise SystemExit(f"{name}: the first {figure} differs by {difference[figure]:.1e}, allowed is {most}")
    return found
