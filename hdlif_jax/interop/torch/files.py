"""Arrays by name, of whatever PyTorch users keep weights in; nothing that a file says is run."""

import os
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from hdlif_jax.checks import shown

Arrays = dict[str, np.ndarray]
DTYPES: dict[str, Any] = {  # of safetensors
    **{"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16, "BOOL": np.bool_},
    **{f"{kind}{bits}": f"{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)},
}
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
NEXT = "save net.state_dict() with torch.save, or with safetensors.torch.save_file"


def read_state_dict(source: Mapping[str, Any] | str | os.PathLike[str]) -> Arrays:
    """The arrays of a state_dict by name, as numpy's.

    Args:
      source: a mapping of names to tensors or arrays; a `.safetensors` file, for which no PyTorch is needed; or a file
        that `torch.save` wrote, which `torch.load(weights_only=True)` reads without running pickled code. A checkpoint
        with one such mapping in it will do.

    Raises:
      ImportError: such a file, and there is no PyTorch.
      TypeError: what is none of these.
      ValueError: a file that is damaged, holds code or no tensors, or arrays of no real numbers; says which.
      OSError: the file cannot be read.

    Example:
      >>> import numpy as np
      >>> from hdlif_jax.interop import torch
      >>> sorted(torch.read_state_dict({"fc.weight": np.ones((3, 8)), "fc.bias": np.zeros(3)}))
      ['fc.bias', 'fc.weight']
    """
    if isinstance(source, Mapping):
        return _arrays("the state_dict", source)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"a state_dict is a mapping or a file, and this is {shown(source)}; give net.state_dict() or a path"
        )
    path = pathlib.Path(source)
    if path.suffix == ".safetensors":
        return _arrays(str(path), _safetensors(path))
    if path.suffix in PICKLED:
        return _arrays(str(path), _pickled(path))
    raise ValueError(f"{path} is no .safetensors file and none of {', '.join(PICKLED)}; {NEXT}")


def _safetensors(path: pathlib.Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError, deserialize

    try:
        entries: Any = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({_line(error)}); {NEXT}") from None
    arrays: Arrays = {}
    for name, entry in sorted(entries):  # by name, as such a file keeps no order of its own
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name} is of {entry['dtype']}; save it as one of {', '.join(DTYPES)}")
        arrays[name] = np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def _pickled(path: pathlib.Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        try:
            import torch
        except ImportError:
            raise ImportError(
                f"reading {path} takes PyTorch: pip install 'hdlif_jax[interop]', or save a .safetensors file"
            ) from None
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # whose text tells how to run what is in it
            raise ValueError(
                f"{path} holds no plain tensors (it is damaged, or holds objects or code); {NEXT}"
            ) from None
        except Exception as error:  # whatever a forged pickle leads to
            raise ValueError(f"{path} holds no plain tensors ({_line(error)}); {NEXT}") from None
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds a {type(loaded).__name__} and no state_dict; {NEXT}")
    return loaded


def _arrays(where: str, mapping: Mapping[Any, Any]) -> Arrays:
    """The tensors of a mapping, or of the one mapping of tensors in it."""
    if not any(map(_is_array, mapping.values())):
        inner = {
            key: value
            for key, value in mapping.items()
            if isinstance(value, Mapping) and any(map(_is_array, value.values()))
        }
        if len(inner) != 1:
            found = f"has {len(inner)} of them, {', '.join(map(str, inner))}" if inner else "has none"
            raise ValueError(f"{where} is no mapping of names to tensors and {found}; {NEXT}")
        (mapping,) = inner.values()
    arrays: Arrays = {}
    for name, value in mapping.items():
        if not isinstance(name, str) or not name or not name.isprintable():
            raise ValueError(f"{where}: {shown(name)} is no name of a tensor; {NEXT}")
        if _is_array(value):
            arrays[name] = _numbers(f"{where}: {name}", value)
    return arrays


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _numbers(name: str, value: Any) -> np.ndarray:
    """A tensor or array as real and finite numbers that belong to nobody else."""
    try:
        if hasattr(value, "detach"):
            if value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise ValueError("it repeats numbers that it holds once")  # 1 may be said to be 2⁴⁰ of them
            value = value.detach().cpu()
            value = value.float() if "float16" in str(value.dtype) else value
        array = np.array(value, order="C")
        if array.dtype.kind == "V":  # of bfloat16 and its like
            array = array.astype(np.float32)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is no plain tensor ({_line(error)}); {NEXT}") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} is of {array.dtype}; weights are real numbers")
    with np.errstate(over="ignore"):
        if array.dtype.kind == "f" and not np.isfinite(array.astype(np.float32)).all():
            raise ValueError(f"{name} has numbers that are not finite in float32; these weights were lost in training")
    return array


def _line(error: Exception) -> str:
    """What an error says, in a line, without what a file may have put into it for a terminal to obey."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:100]
