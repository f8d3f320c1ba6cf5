"""NIR files (HDF5): written whole or not at all, and read with one line about what is wrong."""

import os
import pathlib

import h5py
import nir

from hdlif_jax.checks import check_arguments

MOST_BYTES_PER_BYTE = 2000  # deflate makes one byte of at most 1032


@check_arguments
def write(path: pathlib.Path, graph: nir.NIRGraph) -> None:
    """Writes a graph to a file, whole or not at all.

    Args:
      path: the file; one that is there is replaced.
      graph: from `to_nir`, say.

    Raises:
      OSError: it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        nir.write(partial, graph)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@check_arguments
def read(path: pathlib.Path) -> nir.NIRGraph:
    """The graph of a file, whoever wrote it; types of nodes and edges are not compared.

    What is damaged or forged is refused, but the HDF5 library that reads it may itself crash on such a file: open files
    of people whom you do not trust in a process of their own.

    Raises:
      ValueError: it is no NIR file, or refers to other files.
      OSError: it cannot be read.
    """
    size = path.stat().st_size
    try:
        with h5py.File(path, "r") as file:
            claimed = _claimed_bytes(file)
        if claimed > MOST_BYTES_PER_BYTE * size:
            raise ValueError(f"{size:,} bytes claim to hold {claimed:,}")
        graph = nir.read(path, type_check=False)
    except Exception as error:  # whatever a forged file leads to
        text = " ".join(str(error).split()) or type(error).__name__
        problem = "".join(letter if letter.isprintable() else "?" for letter in text)[:100]
        raise ValueError(f"{path} is no NIR file that can be read ({problem}); name one that nir.write wrote") from None
    if not isinstance(graph, nir.NIRGraph):
        raise ValueError(f"{path} holds a single {type(graph).__name__} node; expected a graph")
    return graph


def _claimed_bytes(group: h5py.Group) -> int:
    """What a group's datasets take in memory; what lies outside of the file is refused."""
    total = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link to somewhere else")
        entry = group[name]
        if isinstance(entry, h5py.Group):
            total += _claimed_bytes(entry)
        elif entry.external or entry.is_virtual:
            raise ValueError(f"{name} lies in another file")
        else:
            total += entry.nbytes
    return total
