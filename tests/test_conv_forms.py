"""Other forms of a convolution are the same function; XLA's own is the witness, exactly where numbers are integers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import conv_forms, nn, ops, rollout, xla_cpu
from tests.conftest import spec_of

#: (height, width), kernel, stride, padding: even and odd sides, rows that a stride leaves out, no and too much padding
SHAPES = [
    ((6, 6), 3, 1, 1),
    ((6, 5), 3, 1, 1),
    ((6, 6), 3, 2, 1),
    ((7, 5), 3, 2, 1),
    ((6, 8), 3, 2, 0),
    ((8, 7), 5, 3, 2),
    ((4, 3), 3, 1, 2),
    ((1, 1), 3, 1, 1),
    ((5, 6), 1, 2, 0),
    ((5, 6), 2, 1, 1),
]


def images_and_kernel(sides, size, kind, channels=8, outputs=5):
    x = jax.random.randint(jax.random.key(0), (3, *sides, channels), 0, 16)
    kernel = jax.random.randint(jax.random.key(1), (size, size, channels, outputs), -1, 2)
    return x.astype(kind), kernel.astype(kind)


@pytest.mark.parametrize(("sides", "size", "stride", "padding"), SHAPES)
@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "accumulator"), [(jnp.float32, None), (jnp.bfloat16, jnp.float32), (jnp.int8, jnp.int32)]
)
def test_columns_at_once_are_the_convolution(sides, size, stride, padding, columns, kind, accumulator):
    x, kernel = images_and_kernel(sides, size, kind)
    expected = conv_forms.plain(x, kernel, stride, padding, accumulator)
    got = conv_forms.by_columns(x, kernel, stride, padding, columns, accumulator)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("sides", "size", "stride", "padding"), SHAPES)
def test_the_gradient_of_a_kernel_is_that_of_the_convolution(sides, size, stride, padding):
    """Exactly of integers; of other numbers to 1e-5 of the largest sum, beside float64 on numpy's side."""
    x, kernel = images_and_kernel(sides, size, jnp.float32)
    output, pullback = jax.vjp(lambda kernel: conv_forms.plain(x, kernel, stride, padding), kernel)
    whole = jax.random.randint(jax.random.key(2), output.shape, -3, 4).astype(jnp.float32)
    np.testing.assert_array_equal(conv_forms.kernel_gradient(x, whole, (size, size), stride, padding), *pullback(whole))
    dy = jax.random.normal(jax.random.key(3), output.shape)
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    (_, height, width, _), span = output.shape, range(size)
    rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1

    def entry(i, j):
        read = padded[:, i : i + rows : stride, j : j + columns : stride]
        return np.einsum("bhwc,bhwd->cd", read, np.asarray(dy, np.float64))

    expected = np.array([[entry(i, j) for j in span] for i in span])
    got = conv_forms.kernel_gradient(x, dy, (size, size), stride, padding)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("sides", "size", "stride", "padding"), SHAPES)
def test_a_convolution_of_its_kernel_alone_is_the_convolution(sides, size, stride, padding):
    x, kernel = images_and_kernel(sides, size, jnp.float32)
    expected, pullback = jax.vjp(lambda kernel: conv_forms.plain(x, kernel, stride, padding), kernel)
    got, transposed = jax.vjp(lambda kernel: conv_forms.by_kernel(x, kernel, stride, padding), kernel)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(*transposed(expected), *pullback(expected))


@pytest.fixture
def all_forms(monkeypatch):
    """Every form wherever it can be, which small layers would not choose."""
    monkeypatch.setattr(xla_cpu, "prefers_long_rows", lambda shape: shape[-1] % 4 == 0)
    monkeypatch.setattr(xla_cpu, "columns_at_once", lambda shape, integers: 2)


@pytest.fixture
def no_forms(monkeypatch):
    monkeypatch.setattr(xla_cpu, "prefers_long_rows", lambda shape: False)
    monkeypatch.setattr(xla_cpu, "columns_at_once", lambda shape, integers: 1)


def derivatives(convolve, x, kernel):
    """Both modes, both arguments and each alone, mapped and of second order."""
    tangents = tuple(jax.random.normal(jax.random.key(seed), leaf.shape) for seed, leaf in enumerate((x, kernel)))
    output, pullback = jax.vjp(convolve, x, kernel)
    dy = jax.random.normal(jax.random.key(5), output.shape)
    many, both = jnp.stack([dy, 2 * dy]), jnp.stack([x, x[::-1]])

    def energy(kernel):
        return jnp.sum(jnp.square(convolve(x, kernel)))

    return {
        "output": output,
        "gradients": pullback(dy),
        "gradient of the kernel": jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](dy),
        "gradient of the images": jax.vjp(lambda x: convolve(x, kernel), x)[1](dy),
        "forward": jax.jvp(convolve, (x, kernel), tangents)[1],
        "forward along images": jax.jvp(lambda x: convolve(x, kernel), (x,), tangents[:1])[1],
        "forward along the kernel": jax.jvp(lambda kernel: convolve(x, kernel), (kernel,), tangents[1:])[1],
        "mapped": jax.vmap(pullback)(many),
        "mapped over images": jax.vmap(lambda x: jax.grad(lambda k: jnp.sum(convolve(x, k)))(kernel))(both),
        "second along the kernel": jax.jvp(jax.grad(energy), (kernel,), tangents[1:])[1],
        "kept": jax.vjp(jax.checkpoint(convolve), x, kernel)[1](dy),
    }  # fmt: skip


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rows", [3, 1])
def test_every_derivative_is_the_plain_one(all_forms, integers, stride, rows):
    x, kernel = images_and_kernel((6, 5), 3, jnp.float32)
    kernel = kernel[:rows]  # of one row it is not square

    def convolve(x, kernel):
        if integers:
            return ops.integer_conv(x, kernel, 1.0, stride, 1)
        return ops.float_conv(x, kernel, stride, 1)

    got = derivatives(convolve, x, kernel)
    expected = derivatives(lambda x, kernel: conv_forms.plain(x, kernel, stride, 1), x, kernel)
    for name, reference in expected.items():
        for ours, theirs in zip(jax.tree.leaves(got[name]), jax.tree.leaves(reference), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max(), err_msg=name)


@pytest.mark.parametrize("integers", [False, True])
def test_only_the_gradients_that_are_asked_for_are_computed(integers, all_forms):
    """Of the stem's images, which are data, no gradient is computed; by the number of convolutions in the program."""
    x, kernel = images_and_kernel((6, 6), 3, jnp.float32)

    def loss(x, kernel):
        return jnp.sum(ops.integer_conv(x, kernel, 1.0, 1) if integers else ops.float_conv(x, kernel, 1))

    def convolutions(*arguments):
        gradient = jax.jit(jax.grad(loss, arguments)).lower(x, kernel)
        return gradient.compile().as_text().count(" convolution(")

    assert convolutions(0) == convolutions(1) == 1
    assert convolutions(0, 1) == 2


def test_a_network_gives_the_same_logits_and_gradients(request):
    """With every form and with none: the same spikes on the way, so that what differs is rounding."""
    spec = spec_of(num_steps=2)
    model = nn.conv_net((6, 5, 4), 3, widths=(8, 12), spec=spec, rngs=nnx.Rngs(0))
    x = jax.random.randint(jax.random.key(1), (4, 6, 5, 4), -2, 3).astype(jnp.float32)
    variables = nn.variables_of(model)

    def results():
        jax.clear_caches()
        inference, training = nn.inference_form(model, integer=True), nn.training_form(model, integer=True)
        logits = jax.jit(lambda variables: rollout.rollout(inference, variables, x))(variables)

        def loss(params):
            current, stats = training.encode(params, variables.batch_stats, x)
            output = training.step(params, stats, None, current, nn.Tick(0))
            return jnp.sum(jnp.square(output.logits))

        return logits, jax.jit(jax.grad(loss))(training.quantize(variables.params))

    request.getfixturevalue("no_forms")
    expected = results()
    request.getfixturevalue("all_forms")
    logits, gradients = results()
    np.testing.assert_allclose(logits, expected[0], rtol=1e-5, atol=1e-5)
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(expected[1]))
    for ours, theirs in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * largest)
