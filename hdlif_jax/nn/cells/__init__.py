"""The neurons as cells, one file each, with the factories that networks take."""

from hdlif_jax.nn.cells.adaptive_lif import AdaptiveLIFCell, adaptive_lif
from hdlif_jax.nn.cells.dropout import Dropout
from hdlif_jax.nn.cells.glif import GLIFCell, glif
from hdlif_jax.nn.cells.hd_lif import HDLIFCell, hd_lif
from hdlif_jax.nn.cells.lif import LIFCell, lif
from hdlif_jax.nn.cells.mem_bn import MemBNHDLIFCell, mem_bn
from hdlif_jax.nn.cells.parallel import ParallelHDLIFCell, parallel
from hdlif_jax.nn.cells.relu import ReLUCell, relu

__all__ = [
    "AdaptiveLIFCell",
    "Dropout",
    "GLIFCell",
    "HDLIFCell",
    "LIFCell",
    "MemBNHDLIFCell",
    "ParallelHDLIFCell",
    "ReLUCell",
    "adaptive_lif",
    "glif",
    "hd_lif",
    "lif",
    "mem_bn",
    "parallel",
    "relu",
]
