"""Words that the library itself takes, where they can be read without importing what they choose."""

from typing import Literal

WeightKind = Literal["float", "binary", "ternary"]
Attention = Literal["none", "seca-1", "seca-2"]
