"""What functions say when they are given something else than a model, a network, a key or generators."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import show
from hdlif_jax.checks import HOW, Count, check
from hdlif_jax.nn.network import Network, Variables

PARTS = ("num_steps", "input_shape", "num_classes", "encode")  # of a model


def check_model(model: Any) -> None:
    """Raises TypeError for what is no model, such as its class or a form of it."""
    if isinstance(model, Network):
        raise TypeError("model is a network, one form of a model; give the model that it was made from")
    if inspect.isclass(model) or inspect.isfunction(model):
        raise TypeError(f"model={model.__name__} is not called yet; make a model with it")
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model is a {type(model).__name__}; give a module such as nn.Sequential(...) or nn.mlp(...)")
    missing = [name for name in PARTS if not hasattr(model, name)]
    if missing:
        raise TypeError(
            f"model, a {type(model).__name__}, has no {' and no '.join(missing)}; a network says "
            f"{', '.join(PARTS[:3])} and has encode(x)"
        )
    if not callable(model):
        raise TypeError(f"model, a {type(model).__name__}, has no __call__(state, current, tick); write it")
    for name in ("num_steps", "num_classes"):
        check(name, getattr(model, name), Count)


def check_network(network: Any, *, records: bool = False, trains: bool | None = None) -> None:
    """Looks whether a network is one, in the form that is needed.

    Args:
      network: what was given.
      records: whether it has to record.
      trains: in which form it has to be; None for any.

    Raises:
      TypeError: it is no network, such as a model.
      ValueError: it is in another form.
    """
    if not isinstance(network, Network):
        what = f"the model {type(network).__name__}" if isinstance(network, nnx.Module) else _kind(network)
        raise TypeError(f"network is {what}; {HOW['network']}")
    if trains and not network.form.train:
        raise ValueError("the network is in inference form; learn with nn.training_form(model)")
    if trains is False and network.form.train:
        raise ValueError(
            "the network is in training form, which normalises by the batch; for inference give "
            "nn.inference_form(model)"
        )
    if records and not network.form.record:
        form = "training_form" if network.form.train else "inference_form"
        raise ValueError(f"the network does not record its spikes; build it with nn.{form}(model, record=True)")


def check_variables(variables: Any) -> None:
    """Raises TypeError for what holds no parameters and statistics, such as parameters alone or a whole learner."""
    if not isinstance(variables, tuple) or len(variables) != len(Variables._fields):
        raise TypeError(
            f"variables are a {type(variables).__name__}; give nn.Variables(params, batch_stats), such as "
            "nn.variables_of(model) or the variables of a learner"
        )


def check_key(key: Any) -> None:
    """Raises TypeError for what is neither None nor one key, of the new kind or the old."""
    if key is None:
        return
    is_array = isinstance(key, jax.Array | np.ndarray)
    if is_array and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape:
            raise TypeError(f"key is an array of keys {key.shape}; give one of them, such as key[0]")
    elif not (is_array and key.dtype == jnp.uint32 and key.shape in ((2,), (4,))):
        raise TypeError(f"key is {_kind(key)}; give a key such as jax.random.key(0)")


def check_rngs(rngs: Any) -> None:
    """Raises TypeError for what parameters cannot be drawn from, such as a seed."""
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"rngs is {_kind(rngs)}; {HOW['rngs']}")
    if "params" not in rngs and "default" not in rngs:
        raise TypeError("rngs has no stream for parameters; give generators such as nnx.Rngs(0) or nnx.Rngs(params=0)")


def check_tick(t: Any, num_steps: int) -> None:
    """Looks at a time-step where it is concrete; a traced one is left to whoever traces.

    Raises:
      TypeError: it is no integer.
      ValueError: it is not one of 0…T−1, and would read the parameters of another.
    """
    if not jnp.issubdtype(jnp.result_type(t), jnp.integer) or jnp.ndim(t):
        raise TypeError(f"the time-step is {_kind(t)}; a tick's t is an integer from 0 to {num_steps - 1}")
    if not isinstance(t, jax.core.Tracer) and not 0 <= int(t) < num_steps:
        raise ValueError(f"time-step {int(t)} of a network of {num_steps}; count them from 0 to {num_steps - 1}")


def _kind(value: Any) -> str:
    """What a value is, in a few words."""
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__name__}, which is not called yet"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"an array {show.array(value)}"
    return f"{value!r}" if isinstance(value, int | float | str) else f"a {type(value).__name__}"
