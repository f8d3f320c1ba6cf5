"""Data parallelism: the batch is spread over all devices, the state is on each of them, and the compiler does the rest.

A step is written for the whole batch. Under `jit` the means of losses and of BatchNorm are those of the whole batch, so
that a run means the same on any number of devices and processes.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices of all processes, or those given, in one row named "data"."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def check_shared(batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError for a batch that the devices cannot share evenly."""
    if batch_size % mesh.size:
        raise ValueError(
            f"batch_size={batch_size} cannot be shared evenly by {mesh.size} devices; "
            f"choose a multiple of {mesh.size} or fewer devices"
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on each device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The leading axis cut into one part for each device."""
    return NamedSharding(mesh, PartitionSpec("data"))


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Puts arrays, of which every process holds the whole, on the devices.

    Args:
      tree: of arrays of any shape; their leading axis is a multiple of the number of devices if it is cut.
      sharding: where to.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(np.shape(leaf), sharding, lambda index: np.asarray(leaf)[index]), tree
    )


def place_own_rows(tree: Any, sharding: NamedSharding) -> Any:
    """Puts a batch, of which every process holds its own rows alone, on the devices."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, leaf), tree)


def is_primary() -> bool:
    """Whether this process is the one that speaks and writes."""
    return jax.process_index() == 0


def wait_for_all(where: str) -> None:
    """Waits until all processes are at the place of this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)
