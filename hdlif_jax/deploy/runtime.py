"""Running an artifact: needs jax and numpy, and neither Flax nor the network's code."""

import math
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import show
from hdlif_jax.checks import Count, check
from hdlif_jax.deploy.batching import rollout_of, step_of
from hdlif_jax.deploy.format.artifact import Artifact, read
from hdlif_jax.deploy.format.errors import require
from hdlif_jax.deploy.format.manifest import Arithmetic, InputType, Manifest, program_file
from hdlif_jax.deploy.format.program import rebuild
from hdlif_jax.deploy.format.signatures import array_dtypes, signature_of

FEWEST, MOST = 4, 16  # images at once on a CPU
CHUNK_BYTES = 2**21  # of the largest value over T time-steps, so that what is computed next finds it in the caches


class StreamState(NamedTuple):
    """Where a stream stands.

    Attributes:
      t: number of time-steps seen; an array within `jit`, `scan` and the like.
      neurons: what they carry, `[B, ...]` by name, such as the potentials v_t.
    """

    t: int | jax.Array
    neurons: dict[str, jax.Array]


class Deployed:
    """A loaded network: `network(inputs)` and `network.step(state, frame)` are functions for `jit`, `scan` and `vmap`.

    Attributes:
      manifest: the artifact's description of itself.
      arithmetic: "integer" or "float", the path in use.
      chunk: images that a CPU computes at once; of larger batches it computes as many chunks as it takes.

    Args:
      artifact: from `read`.
      arithmetic: None chooses by backend, see `fastest_arithmetic`.

    Raises:
      ArtifactError: a program that is broken or does not fit the manifest.
      ValueError: integer arithmetic for a network without integer layers.
    """

    def __init__(self, artifact: Artifact, arithmetic: Arithmetic | None = None):
        self.manifest = artifact.manifest
        has_integers = "rollout-integer" in artifact.programs
        check("arithmetic", arithmetic, Arithmetic | None)
        if arithmetic is None:
            arithmetic = fastest_arithmetic(jax.default_backend()) if has_integers else "float"
        if arithmetic == "integer" and not has_integers:
            raise ValueError("this network has no layer of integer spikes and weights; use arithmetic='float'")
        self.arithmetic = arithmetic
        self.chunk = chunk_of(self.manifest)
        dtypes = array_dtypes(self.manifest.arrays, arithmetic)
        self._artifact = artifact  # from which another process makes it anew
        self._arrays = {name: jnp.asarray(array.astype(dtypes[name])) for name, array in artifact.arrays.items()}
        self._rollout = rollout_of(self._program(artifact, "rollout"))
        self._step = step_of(self._program(artifact, "step"))

    def __reduce__(self) -> tuple[Any, ...]:
        return Deployed, (self._artifact, self.arithmetic)

    def __deepcopy__(self, memo: Any) -> "Deployed":
        return self  # nothing of it changes

    def __repr__(self) -> str:
        return show.line("Deployed", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Deployed", self._facts())

    def _facts(self) -> dict[str, Any]:
        return self.manifest.facts() | {"arithmetic": self.arithmetic}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, such as (H, W, C) of an image or (T, H, W, C) of a sequence."""
        manifest = self.manifest
        frames = () if manifest.input_kind == "image" else (manifest.num_steps,)
        return (*frames, *manifest.input_shape)

    def __call__(self, inputs: np.ndarray | jax.Array) -> jax.Array:
        """Logits at every time-step.

        Args:
          inputs: as the dataset distributes them, uint8, or float32 where it has floats: static `[B, ...]`, such as
            images, or sequences `[B, T, ...]`.

        Returns:
          `[T, B, K]`. The prediction after t steps is the argmax of the sum of the first t.

        Raises:
          TypeError: inputs that are no array.
          ValueError: inputs of another type or shape.
        """
        self.check_inputs(inputs)
        traced = isinstance(inputs, jax.core.Tracer)  # within jit the compiler plans the whole batch
        if traced or jax.default_backend() != "cpu" or len(inputs) <= FEWEST:
            logits: jax.Array = self._rollout(self._arrays, inputs)
            return logits
        # Full chunks only, so that two programs serve every larger batch.
        size = self.chunk if len(inputs) >= self.chunk else FEWEST
        padded = np.concatenate([inputs, np.repeat(inputs[-1:], -len(inputs) % size, 0)])
        chunks = np.split(padded, len(padded) // size)
        return jnp.concatenate([self._rollout(self._arrays, chunk) for chunk in chunks], 1)[:, : len(inputs)]

    def check_inputs(self, inputs: np.ndarray | jax.Array) -> None:
        """Raises TypeError for what is no array, ValueError for inputs of another type or shape than a call takes."""
        _check_shape(inputs, self.input_shape, self.manifest.input_type)

    def init_state(self, batch_size: int) -> StreamState:
        """The start of `batch_size` streams: zeros, in whose place neurons that start from other values put those."""
        check("batch_size", batch_size, Count)
        shapes = self.manifest.state.items()
        return StreamState(0, {name: jnp.zeros((batch_size, *shape), jnp.float32) for name, shape in shapes})

    def step(self, state: StreamState, x_t: np.ndarray | jax.Array) -> tuple[StreamState, jax.Array]:
        """One time-step of a stream; memory does not grow with their number.

        Args:
          state: from `init_state` or the step before.
          x_t: frame `[B, ...]` of the same type as inputs.

        Returns:
          The new state and the step's logits `[B, K]`.

        Raises:
          TypeError: a frame that is no array, or no state.
          ValueError: a frame of another type or shape, a state of another network, or of more or fewer streams, or more
            steps than the network has, where their number is known: within `scan` a step too many gives NaN.
        """
        if not isinstance(state, StreamState):
            raise TypeError(f"the state is a {type(state).__name__}; begin with init_state({len(x_t)})")
        traced = isinstance(state.t, jax.core.Tracer)
        if not traced and state.t >= self.manifest.num_steps:
            raise ValueError(
                f"the stream has had its {self.manifest.num_steps} time-steps, and decay and threshold are learned per "
                "step; begin the next window with init_state()"
            )
        _check_shape(x_t, self.manifest.input_shape, self.manifest.input_type)
        streams = {len(array) for array in state.neurons.values()} - {len(x_t)}
        if streams:
            raise ValueError(
                f"a frame of {len(x_t)} streams for a state of {min(streams)}; begin with init_state({len(x_t)})"
            )
        shapes = {name: array.shape[1:] for name, array in state.neurons.items()}
        if shapes != dict(self.manifest.state):
            raise ValueError("the state is of another network; begin with init_state() of this one")
        neurons, logits = self._step(self._arrays, state.neurons, jnp.asarray(state.t, jnp.int32), x_t)
        if traced:
            logits = jnp.where(state.t < self.manifest.num_steps, logits, jnp.nan)
        return StreamState(state.t + 1, neurons), logits

    def _program(self, artifact: Artifact, kind: str) -> Callable[..., Any]:
        name, manifest = f"{kind}-{self.arithmetic}", artifact.manifest
        require(name in artifact.programs, f"the artifact has no program {name}")
        signature = signature_of(
            name,
            num_steps=manifest.num_steps,
            num_classes=len(manifest.class_names),
            input_kind=manifest.input_kind,
            input_shape=manifest.input_shape,
            state=manifest.state,
            arrays=manifest.arrays,
            input_type=manifest.input_type,
        )
        convention = manifest.programs[name].calling_convention
        program: Callable[..., Any] = rebuild(artifact.programs[name], signature, convention, program_file(name)).call
        return program


def _check_shape(inputs: np.ndarray | jax.Array, shape: tuple[int, ...], kind: InputType) -> None:
    expected = f"{kind} [B, {', '.join(map(str, shape))}]"
    if not hasattr(inputs, "dtype"):
        raise TypeError(f"inputs are a {type(inputs).__name__}; give an array, {expected}")
    if inputs.dtype != np.dtype(kind) or inputs.ndim != len(shape) + 1 or inputs.shape[1:] != shape or not len(inputs):
        raise ValueError(
            f"inputs are {inputs.dtype} of shape {list(inputs.shape)}; expected {expected}{way_to(kind, inputs.dtype)}"
        )


def way_to(kind: InputType, dtype: Any) -> str:
    """The end of a message about inputs of a type: how to make them of another."""
    if kind == "uint8" and dtype.kind == "f":
        return "; of floats in [0, 1]: np.round(255 * inputs).astype(np.uint8)"
    if kind == "float32" and dtype != np.float32:
        return ", in the unit of the training data: inputs.astype(np.float32)"
    return ""


def chunk_of(manifest: Manifest) -> int:
    """How many images a CPU computes at once, by measurement (`experiments.benchmarks.inference`).

    What T time-steps of a layer give is to stay in the caches; below that, fewer and larger calls are faster. How much
    it is, the largest state of a neuron says.
    """
    if not manifest.state:
        return FEWEST
    largest = max(math.prod(shape) for shape in manifest.state.values())
    chunk = FEWEST
    while chunk < MOST and 2 * chunk * 4 * manifest.num_steps * largest <= CHUNK_BYTES:
        chunk *= 2
    return chunk


def fastest_arithmetic(backend: str) -> Arithmetic:
    """The faster of the two exact paths, by measurement (`experiments.benchmarks.inference`).

    On a CPU with vector instructions for int8, XLA's integer convolutions are the faster ones: clearly so from jax 0.12
    on, slightly before. On other backends this is not measured, and XLA promises no fast integer convolution there: the
    float path computes the same sums, as exactly.
    """
    return "integer" if backend == "cpu" else "float"


def load(path: str | pathlib.Path, arithmetic: Arithmetic | None = None) -> Deployed:
    """Loads an artifact.

    Args:
      path: the folder of an artifact.
      arithmetic: "integer", "float", or None for the faster one on this backend.

    Raises:
      ArtifactError: it is damaged, of another version, or not an artifact.
    """
    return Deployed(read(pathlib.Path(path)), arithmetic)
