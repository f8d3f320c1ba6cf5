"""Whether large arrays lie in large pages of memory, of which the processor keeps more at hand."""

import os
import pathlib

KERNEL = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")  # for example "always [madvise] never"
TUNABLE = "glibc.malloc.hugetlb=1"  # glibc, from 2.35 on, asks for large pages; with 2 it takes reserved ones


def large_pages(kernel: pathlib.Path = KERNEL) -> bool | None:
    """Whether Linux gives this process pages of 2 MiB; None where that is not known or cannot be had.

    With small ones a training step on a CPU takes 14 to 34 % longer (`experiments.benchmarks.train_speed`), since XLA
    takes and gives back the memory of its temporary arrays at every step.

    Args:
      kernel: the file in which Linux says when it gives them.
    """
    modes = kernel.read_text() if kernel.exists() else ""
    if "[always]" in modes:
        return True
    if "[madvise]" in modes:
        chosen = os.environ.get("GLIBC_TUNABLES", "").split(":")
        return TUNABLE in chosen or "glibc.malloc.hugetlb=2" in chosen
    return None
