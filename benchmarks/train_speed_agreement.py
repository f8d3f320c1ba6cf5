"""The checks of `benchmarks.train_speed`: that all implementations compute the same, before any is timed."""

from typing import Any

import jax
import numpy as np
import torch

from benchmarks import torch_reference
from benchmarks.train_speed_cases import MEAN, NUM_CLASSES, NUM_STEPS, STD, torch_batch, torch_device
from hdlif_jax import nn, rollout
from hdlif_jax.training import normalize

# Where a membrane lies at a threshold or between two levels, another order of summation moves a spike, and that spike
# others. PyTorch's channels-last BatchNorm rounds to 6e-6 where ours and its contiguous one round to 1e-7, so that in
# training mode its float32 first update is about 50 % from its own in float64, while ours is not. Updates are therefore
# compared with float64, and those that round more coarsely by their loss alone.
LOGITS, LOSS, UPDATE = 1e-2, 5e-2, 0.1


def check_logits(model, width, is_lif, images, labels) -> dict[str, Any]:
    """‖ours − theirs‖ / ‖theirs‖ of the logits of all time-steps with running statistics, in float32.

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
        found[name] = _distance(ours, theirs)
        if not found[name] <= LOGITS:
            raise SystemExit(
                f"{name}: logits differ by {found[name]:.1e} of their norm: these are not the same networks"
            )
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


def check_updates(members, network, width, model, images, labels) -> dict[str, Any]:
    """The first update of each implementation beside the same in float64 PyTorch: its loss, and the stem's kernel.

    The stem's kernel is the longest way back; its movement is checked for ours in float32 on a CPU and recorded
    elsewhere, where TensorFloat-32 or bfloat16 move spikes. Through time, SpikingJelly's BatchNorm is another
    (`spikingjelly_reference`): nothing to compare with.

    Raises:
      SystemExit: they differ by more than rounding explains.
    """
    expected = float64_update(network, width, model, images, labels)
    found: dict[str, Any] = {}
    for member in members:
        update = member.first_update
        if update is None or update["case"] != expected["case"]:
            continue
        name = f"{member.name}, {member.precision}, {update['case']}"
        found[name] = {
            "loss": abs(update["loss"] - expected["loss"]) / expected["loss"],
            "stem_update": _distance(update["stem"], expected["stem"]),
        }
        exact = member.name.startswith("hdlif_jax") and member.precision == "float32" and torch_device() == "cpu"
        for figure, most in {"loss": LOSS, "stem_update": UPDATE if exact else float("inf")}.items():
            if not found[name][figure] <= most:
                difference = found[name][figure]
                raise SystemExit(f"{name}: the first {figure} is {difference:.1e} from float64, allowed is {most}")
    return found


def float64_update(network, width, model, images, labels) -> dict[str, Any]:
    """The first update in float64: of the last t* of HD-LIF, or, of LIF, of all time-steps online."""
    variables = jax.tree.map(np.asarray, nn.variables_of(model))
    inputs, targets = torch_batch(images, labels)
    inputs = inputs.double()
    if network.endswith("-lif"):
        try:
            from benchmarks import spikingjelly_reference  # optional
        except ModuleNotFoundError:
            return {"case": "SpikingJelly is not installed"}
        reference = spikingjelly_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width, online=True).double()
        reference.load(variables)
        reference, stem, case = reference.to(torch_device()), reference.stem.weight, "accumulate"
        optimizer = torch_reference.make_optimizer(reference)
        update = lambda: spikingjelly_reference.train_step(reference, optimizer, inputs, targets)  # noqa: E731
    else:
        reference = torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width).double()
        reference.load(variables)
        reference, stem, case = reference.to(torch_device()), reference.stem.kernel, f"t*={NUM_STEPS}"
        optimizer = torch_reference.make_optimizer(reference)
        update = lambda: torch_reference.online_step(reference, optimizer, inputs, targets, NUM_STEPS - 1)  # noqa: E731
    before = stem.detach().clone()
    loss = float(update())
    return {"case": case, "loss": loss, "stem": (stem.detach() - before).permute(2, 3, 1, 0).cpu().numpy()}


def _distance(values, expected) -> float:
    return float(np.linalg.norm(values - expected) / np.linalg.norm(expected))
