"""How a run is computed and watched, which changes nothing of its result: devices, processes, caches."""

import dataclasses
import importlib.util
import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

from hdlif_jax.checks import Amount, Count, check_fields
from hdlif_jax.commands.support.cli import console
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import device_name

if TYPE_CHECKING:
    from jax.sharding import Mesh


CACHED_SECONDS = 0.02  # a program that took longer to compile is kept: first kernels are dozens of short ones


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a run is computed and watched; may be another when the run is resumed."""

    devices: Count | None = None
    """Devices to share each batch; all by default."""
    coordinator: str | None = None
    """HOST:PORT of process 0 of a run of several processes, each started with this same command; auto: as the cluster
    says (Slurm, Open MPI, Kubernetes, Cloud TPU)."""
    num_processes: Count | None = None
    """Processes of that run; not needed with auto."""
    process_id: Amount | None = None
    """Which of them this is, from 0; not needed with auto."""
    profile: bool = False
    """Write a profile of a few training steps to DIR/profile, for TensorBoard or Perfetto."""
    tensorboard: bool = False
    """Write TensorBoard files to DIR/tensorboard; needs the extra hdlif_jax[tensorboard]."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field."""
        check_fields(self)

    def start(self) -> None:
        """Joins the other processes and finds the compilation cache; before anything else touches a device.

        Raises:
          CommandError: settings that do not go together, or a package that is not installed.
        """
        if self.tensorboard and importlib.util.find_spec("tensorboardX") is None:
            raise CommandError(
                "--tensorboard needs the package tensorboardX: python -m pip install 'hdlif_jax[tensorboard]'"
            )
        given = (self.num_processes is not None, self.process_id is not None)
        if self.coordinator is None and any(given):
            raise CommandError("--num-processes and --process-id belong to --coordinator HOST:PORT; give all three")
        if self.coordinator is not None:
            if self.devices is not None:
                raise CommandError("--devices is for one process; several processes use all of their devices")
            if self.coordinator == "auto":
                self._join()
            elif all(given):
                self._join(self.coordinator, self.num_processes, self.process_id)
            else:
                raise CommandError("--coordinator HOST:PORT needs --num-processes and --process-id; or use auto")
        from hdlif_jax.training.sharding import is_primary

        console.quiet = not is_primary()
        use_compilation_cache()

    def words(self) -> list[str]:
        """The options that give this again, on the command line."""
        words = []
        for field in dataclasses.fields(self):
            value, name = getattr(self, field.name), f"--{field.name.replace('_', '-')}"
            if value != field.default:
                words += [name] if value is True else [name, str(value)]
        return words

    def _join(self, *arguments: Any) -> None:
        import jax

        try:
            jax.distributed.initialize(*arguments)
        except (RuntimeError, ValueError) as error:
            problem = str(error).strip().splitlines()[0]
            raise CommandError(f"--coordinator {self.coordinator}: {problem}") from error

    def mesh(self) -> "Mesh":
        """The devices.

        Raises:
          CommandError: there are fewer.
        """
        import jax

        from hdlif_jax.training.sharding import make_mesh

        available = jax.devices()
        if self.devices is not None and self.devices > len(available):
            raise CommandError(f"devices={self.devices} but this machine has {len(available)}; choose fewer")
        return make_mesh(available[: self.devices])


def one_device() -> "Mesh":
    """The first device: enough to look at a trained network, and every batch size fits."""
    import jax

    from hdlif_jax.training.sharding import make_mesh

    return make_mesh(jax.devices()[:1])


def use_compilation_cache() -> None:
    """Keeps compiled programs between processes, so that what is started again begins in seconds.

    By kind of device in the user's cache directory, or where JAX_COMPILATION_CACHE_DIR says; not at all where the user
    has no directory to write to, as in some containers.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    kind = re.sub(r"\W+", "-", device_name()).strip("-").lower()  # code for one processor may not run on another
    try:
        user_cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        folder = user_cache / "hdlif_jax" / kind
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return
    except (OSError, RuntimeError):  # nobody knows where that is, or it cannot be made
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", CACHED_SECONDS)
