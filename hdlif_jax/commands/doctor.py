"""Says what is installed, what works and what is missing: `hdlif doctor [--data.dir DIR]`.

Needs no extra. Ends with status 0 if the core works, and without a traceback whatever is broken.
"""

from __future__ import annotations

import collections
import os
import pathlib
import platform
import statistics
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

from hdlif_jax import __version__
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.pages import TUNABLE, large_pages
from hdlif_jax.commands.support.plain import PlainParser
from hdlif_jax.commands.support.program import program
from hdlif_jax.commands.support.requirements import Requirement, installed, requirements

WRAPPER = textwrap.TextWrapper(
    80, initial_indent="  ", subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
)
# Variables that change what runs where.
TOLD = ("GLIBC_TUNABLES", "JAX_", "XLA_", "LIBTPU_", "CUDA_VISIBLE_DEVICES", "HDLIF_")
ROUNDS = 7
LAYER = (16, 32, 32, 64)  # [B, H, W, C] of the inputs that are convolved, 3×3 to as many channels


def parser() -> PlainParser:
    """What the command line may be."""
    parser = PlainParser(prog=program("doctor"), description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument(
        "--data.dir", dest="data_dir", type=pathlib.Path, default=pathlib.Path("data"), metavar="DIR",
        help="data directory to look into, that of training (default: data)",
    )  # fmt: skip
    return parser


def told(title: str, lines: Callable[[], Iterator[str]]) -> bool:
    """Prints a section as its lines come, and in a line what goes wrong; whether nothing did."""
    print(title)
    error = None
    try:
        for line in lines():
            _print(line)
    except Exception as found:  # whatever it is: to say so is what this command is for
        error = found
        first = (str(error).strip() or "no message").splitlines()[0]
        _print(f"fails: {type(error).__name__}: {first}")
    return error is None


def _print(line: str) -> None:
    for part in WRAPPER.wrap(line):
        print(part, flush=True)


def versions() -> Iterator[str]:
    """Python, the package and what it needs, with what is too old or not there."""
    yield _row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    of_package = installed("hdlif_jax")
    if of_package is None:
        yield _row("hdlif_jax", f"{__version__}, not installed, so what it needs is not known")
    else:
        yield _row("hdlif_jax", __version__ + (f", installed as {of_package}" if of_package != __version__ else ""))
    of_core = [requirement for requirement in requirements() if requirement.extra is None]
    for requirement in sorted([*of_core, Requirement("jaxlib")]):
        yield _row(requirement.package, requirement.complaint() or installed(requirement.package))
    for name in sorted(os.environ):
        if name.startswith(TOLD):
            yield f"{name}={os.environ[name]}"


def devices() -> Iterator[str]:
    """What computes."""
    import jax

    from hdlif_jax.commands.support.run_directory import device_name

    found = jax.devices()
    if found[0].platform == "cpu":
        yield device_name() + (f", as {len(found)} devices" if len(found) > 1 else "")
        if pathlib.Path("/dev/nvidia0").exists():
            yield "there is an NVIDIA GPU besides, which this JAX does not see; its CUDA plugin is missing or refused"
        if large_pages() is False:
            yield "memory in small pages; training is faster in large ones, before Python starts:"
            yield f"    export GLIBC_TUNABLES={TUNABLE}"
        return
    for kind, number in collections.Counter(device.device_kind for device in found).items():
        limit = (found[0].memory_stats() or {}).get("bytes_limit")
        memory = "" if limit is None else f", {limit / 2**30:.1f} GiB for JAX on each"
        yield f"{number} × {kind} ({found[0].platform}){memory}"


def core() -> Iterator[str]:
    """One step of online training of a small network."""
    started = time.perf_counter()
    import jax
    import optax
    from flax import nnx

    import hdlif_jax as hd

    model = hd.nn.mlp((8,), 3, rngs=nnx.Rngs(0))
    learner, step = hd.training.start(model, hd.learning.random_step(), hd.losses.cross_entropy(), optax.sgd(0.1))
    inputs, labels = jax.random.normal(jax.random.key(0), (4, 8)), jax.numpy.arange(4) % 3
    loss = float(step(learner, hd.learning.Batch(inputs, labels))[1].loss)
    if not 0 < loss < float("inf"):
        raise ArithmeticError(f"the loss of a small network is {loss}")
    yield f"a training step of a small network: loss {loss:.3f}, compiled and run in {_seconds(started)}"


def integers() -> Iterator[str]:
    """How fast int8 is, in which layers with binary and ternary weights and quantised spikes are convolved."""
    import jax
    import jax.numpy as jnp

    from hdlif_jax.ops import convolve

    levels = jax.random.randint(jax.random.key(0), LAYER, 0, 16)
    signs = jax.random.randint(jax.random.key(1), (3, 3, LAYER[-1], LAYER[-1]), -1, 2)
    milliseconds: dict[str, float] = {}
    sums: dict[str, Any] = {}
    for name, kind, of_sums in (("float32", jnp.float32, jnp.float32), ("int8", jnp.int8, jnp.int32)):
        x, kernel = levels.astype(kind), signs.astype(kind)
        convolved = jax.jit(lambda x, kernel, of_sums=of_sums: convolve(x, kernel, 1, 1, of_sums))
        sums[name] = jax.block_until_ready(convolved(x, kernel))
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            jax.block_until_ready(convolved(x, kernel))
            times.append(1e3 * (time.perf_counter() - started))
        milliseconds[name] = statistics.median(times)
    if not bool(jnp.all(sums["float32"] == sums["int8"].astype(jnp.float32))):
        raise ArithmeticError("a convolution in int8 is not that in float32")
    ratio = milliseconds["float32"] / milliseconds["int8"]
    shown = ", ".join(f"{name} {time_:.1f} ms" for name, time_ in milliseconds.items())
    yield f"3×3, {LAYER[-1]} channels: {shown}, {ratio:.1f} times as fast"


def datasets(directory: pathlib.Path) -> Iterator[str]:
    """Which datasets are ready, and which are not."""
    from hdlif_jax.data import CATALOG, PreparedEntry
    from hdlif_jax.data.prepare import prepared_path

    prepared = [entry for entry in CATALOG.values() if isinstance(entry, PreparedEntry)]
    missing = []
    if not directory.is_dir():
        yield "there is no such folder"
    for entry in prepared:
        found = sorted(file.parent.name for file in prepared_path(entry, directory).parent.glob("*/dataset_info.json"))
        if found:
            yield _row(entry.name, ", ".join(found))
        else:
            missing.append(entry.name)
    if missing:
        yield f"not there: {', '.join(missing)}"
        yield f"one is made by {program('prepare_data')} NAME --from FILES --to {directory}"


def extras() -> Iterator[str]:
    """Which extras are there, and how to get the others."""
    lacking: dict[str, list[str]] = {}
    for requirement in requirements():
        if requirement.extra is not None:
            lacks = lacking.setdefault(requirement.extra, [])
            lacks += [requirement.package] * bool(requirement.complaint())
    for name, packages in sorted(lacking.items()):
        if packages:
            yield _row(name, f"lacks {', '.join(packages)}")
            yield f"    python -m pip install 'hdlif_jax[{name}]'"
        else:
            yield _row(name, "complete")


def _row(name: str, what: str | None) -> str:
    return f"{name:17} {what}"


def _seconds(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"


@command
def main() -> None:
    """Entry point."""
    arguments = parser().parse_args()
    told("versions", versions)
    works = told("devices", devices) and told("core", core)
    if works:
        told("int8 against float32", integers)
    told(f"datasets in {arguments.data_dir}", lambda: datasets(arguments.data_dir))
    told("extras", extras)
    if not works:
        raise CommandError("the core does not work; what fails is said above")
    print("the core works")


if __name__ == "__main__":
    main()
