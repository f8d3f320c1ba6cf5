import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn
from hdlif_jax.nn import Form, SpikingResNet, Tick, conv_net
from hdlif_jax.nn.forms import in_form
from hdlif_jax.nn.intercept import intercept, modules
from hdlif_jax.nn.resnet import StemShape
from hdlif_jax.rollout import rollout_spikes
from tests.conftest import cross_entropy, perturbed, spec_of
from tests.nn.test_synapses import slow_conv

SEED = 0


def test_the_head_reads_the_average_current(images):
    model = in_form(conv_net((6, 6, 2), 3, widths=(4,), spec=spec_of(), rngs=nnx.Rngs(0)), Form(train=True))
    _, logits = model(None, model.encode(images), Tick(0))
    _, current = model.blocks[0](None, model.encode(images), Tick(0))
    expected = np.asarray(current).mean((1, 2)) @ np.asarray(model.head.kernel[...])
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_stages_strides_and_widths():
    model = SpikingResNet(
        (8, 8, 1), 5, stage_sizes=(2, 1), widths=(3, 7), strides=(1, 2), spec=spec_of(), rngs=nnx.Rngs(0)
    )
    assert [block.downsample is None for block in model.blocks] == [True, True, False]
    assert [block.conv2.kernel.shape[-1] for block in model.blocks] == [3, 3, 7]
    inputs = jnp.ones((2, 8, 8, 1))
    state, logits = nnx.eval_shape(lambda model, x: model(None, model.encode(x), Tick(0)), model, inputs)
    assert logits.shape == (2, 5)
    block_states, (potential, parallel_state) = state[:2], state[2]
    assert len(block_states) == 2
    assert potential.shape == (2, 8, 8, 3)
    assert parallel_state == ()


def test_first_and_last_layer_are_float():
    model = conv_net((6, 6, 2), 3, widths=(4, 8), spec=spec_of(), rngs=nnx.Rngs(0))
    assert (model.stem.weights, model.head.weights) == ("float", "float")
    assert {block.conv1.weights for block in model.blocks} == {"ternary"}
    assert model.blocks[1].downsample.conv.weights == "ternary"


def test_memory_makes_steps_differ():
    model = conv_net((6, 6, 2), 3, widths=(4, 8), spec=spec_of(), rngs=nnx.Rngs(0))
    current = model.encode(jax.random.normal(jax.random.key(0), (2, 6, 6, 2)))
    state, first = model(None, current, Tick(0))
    _, second = model(state, current, Tick(1))
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stage_sizes": (1,), "widths": (2, 3), "strides": (1, 1)}, "have 1, 2 and 2 entries"),
        ({"stage_sizes": (), "widths": (), "strides": ()}, r"stage_sizes=\(\) must not be empty"),
        ({"input_shape": (8, 8)}, r"input_shape=\(8, 8\) must be"),
    ],
)
def test_bad_arguments(arguments, message):
    defaults = {"input_shape": (8, 8, 1), "stage_sizes": (1,), "widths": (2,), "strides": (1,)}
    with pytest.raises(ValueError, match=message):
        SpikingResNet(num_classes=3, spec=spec_of(), rngs=nnx.Rngs(0), **(defaults | arguments))


def test_resnet18_and_34_on_small_images():
    for build, sizes in ((nn.resnet18, (2, 2, 2, 2)), (nn.resnet34, (3, 4, 6, 3))):
        model = nnx.eval_shape(lambda build=build: build((32, 32, 3), 10, rngs=nnx.Rngs(0)))
        assert [block.conv2.kernel.shape[-1] for block in model.blocks] == [
            width for width, size in zip((64, 128, 256, 512), sizes, strict=True) for _ in range(size)
        ]
        assert [block.conv1.stride for block in model.blocks if block.downsample is not None] == [2, 2, 2]
        assert model.stem.kernel.shape == (3, 3, 3, 64)
        assert model.head.kernel.shape == (512, 10)


def test_resnet19_has_a_spiking_head():
    model = nnx.eval_shape(lambda: nn.resnet19((32, 32, 3), 10, rngs=nnx.Rngs(0)))
    assert [block.conv2.kernel.shape[-1] for block in model.blocks] == [128] * 3 + [256] * 3 + [512] * 2
    assert (model.head.hidden.kernel.shape, model.head.output.kernel.shape) == ((512, 256), (256, 10))
    assert [block.conv1.stride for block in model.blocks] == [1, 1, 1, 2, 1, 1, 2, 1]
    events = nnx.eval_shape(lambda: nn.resnet19((48, 48, 2), 10, rngs=nnx.Rngs(0)))
    assert events.blocks[0].conv1.stride == 2


@pytest.mark.parametrize(
    ("input_shape", "num_classes", "stem", "kernel_size", "current"),
    [
        ((32, 32, 3), 100, None, 3, (32, 32)),
        ((64, 64, 3), 200, None, 3, (32, 32)),  # 200 classes: a maximum with stride 2
        ((224, 224, 3), 1000, None, 7, (56, 56)),
        ((224, 224, 3), 1000, "cifar", 3, (112, 112)),
        ((64, 64, 3), 10, "imagenet", 7, (32, 32)),
        ((48, 48, 2), 10, None, 3, (48, 48)),
        ((48, 48, 2), 300, None, 3, (48, 48)),  # no maximum on events
    ],
)
def test_stems(input_shape, num_classes, stem, kernel_size, current):
    def encode():
        model = nn.resnet18(input_shape, num_classes, width=2, stem=stem, rngs=nnx.Rngs(0))
        assert model.stem.kernel.shape[0] == kernel_size
        return model.encode(jnp.zeros((1, *input_shape)))

    assert jax.eval_shape(encode).shape == (1, *current, 2)


def test_the_maximum_of_the_stem(images):
    stem = StemShape(3, 1, pools=True)
    model = SpikingResNet(
        (6, 6, 2), 3, stage_sizes=(1,), widths=(4,), strides=(1,), stem=stem, spec=spec_of(), rngs=nnx.Rngs(0)
    )
    current = np.pad(
        np.asarray(model.stem_norm(model.stem(images))),
        ((0, 0), (1, 1), (1, 1), (0, 0)),
        constant_values=-np.inf,
    )
    expected = np.stack(
        [
            np.stack([current[:, i : i + 3, j : j + 3].max((1, 2)) for j in range(0, 6, 2)], axis=1)
            for i in range(0, 6, 2)
        ],
        axis=1,
    )
    np.testing.assert_array_equal(model.encode(images), expected)


def quick_model(build):
    """The model of `build` with kernels drawn by numpy: XLA compiles the initialiser of every shape, for seconds."""
    model = nnx.eval_shape(build)
    _, *states = nnx.split(model, nnx.Param, nnx.BatchStat)
    generator = np.random.default_rng(0)

    def fill(path, leaf):
        name = path[-1].key
        if name == "kernel":
            spread = np.sqrt(2 / np.prod(leaf.shape[:-1]))
            return jnp.asarray(spread * generator.standard_normal(leaf.shape), jnp.float32)
        return jnp.full(leaf.shape, 1.0 if name in ("scale", "var", "threshold") else 0.0)

    variables = [jax.tree_util.tree_map_with_path(fill, nnx.to_pure_dict(state)) for state in states]
    return nn.with_variables(model, nn.Variables(*variables))


def check_gradients(model):
    """One learning step at t = 1: logits, the state of every neuron with memory, and a gradient for every parameter."""
    network, variables = nn.training_form(model, record=True), nn.variables_of(model)
    inputs = jax.random.normal(jax.random.key(1), (3, *model.input_shape))
    _, spikes = jax.eval_shape(lambda: rollout_spikes(network, variables, inputs))
    cells = {path: cell for path, cell in modules(model) if isinstance(cell, nn.NeuronCell)}
    assert spikes.keys() == cells.keys()
    called = []  # in the order of the calls, as the state; the spikes are in that of their names, 10 before 2
    watched = nnx.clone(model)
    intercept(watched, lambda path, module: _noting(called, path) if path in cells else None)
    jax.eval_shape(lambda x: watched(None, watched.encode(x), Tick(0))[1], inputs)
    with_memory = [path for path in called if not isinstance(cells[path], nn.ParallelHDLIFCell)]
    potentials = jax.tree.leaves(nn.init_state(network, variables, 3))
    assert [potential.shape for potential in potentials] == [spikes[path].shape[1:] for path in with_memory]

    gradient = jax.jit(
        lambda variables: learning.gradient_at_steps(
            nn.training_form(model), cross_entropy, variables, learning.Batch(inputs, jnp.arange(3)), jnp.array([1])
        )
    )(variables)
    assert gradient.logits.shape == (3, model.num_classes)
    leaves = jax.tree_util.tree_leaves_with_path(gradient.grads)
    for (path, leaf), by_time in zip(leaves, jax.tree.leaves(network.per_step), strict=True):
        assert np.all(np.isfinite(leaf)), path
        assert np.any(leaf[1] if by_time else leaf), path
        if by_time:
            np.testing.assert_array_equal(leaf[:1], 0, err_msg=path)


def _noting(called, path):
    def note(call, *arguments):
        called.append(path)
        return call(*arguments)

    return note


@pytest.mark.parametrize(
    ("build", "input_shape", "options"),
    [
        (nn.resnet18, (16, 16, 3), {}),
        pytest.param(
            nn.resnet18,
            (16, 16, 2),
            {"neuron": "mem-bn", "attention": "seca-2", "parallel": False, "weights": "binary"},
            marks=pytest.mark.slow,
        ),
        pytest.param(nn.resnet19, (8, 8, 3), {"neuron": "mem-bn", "attention": "seca-1"}, marks=pytest.mark.slow),
        pytest.param(nn.resnet34, (16, 16, 3), {"neuron": "lif", "weights": "float"}, marks=pytest.mark.slow),
    ],
)
def test_shapes_state_and_gradients(build, input_shape, options):
    spec = spec_of(num_steps=2, **options)
    check_gradients(quick_model(lambda: build(input_shape, 5, width=4, spec=spec, rngs=nnx.Rngs(0))))


def numpy_batch_norm(norm, x):
    mean, var, scale, bias = (
        np.asarray(parameter[...], np.float64) for parameter in (norm.mean, norm.var, norm.scale, norm.bias)
    )
    return (x - mean) / np.sqrt(var + 1e-5) * scale + bias


def numpy_ternary(kernel):
    """TWN: clip to [−1, 1], Δ = 0.7·mean|W|, one scale for the kept (Section 4.1)."""
    kernel = np.clip(np.asarray(kernel, np.float64), -1, 1)
    kept = np.abs(kernel) > 0.7 * np.abs(kernel).mean()
    return np.abs(kernel[kept]).mean() * np.sign(kernel) * kept


def numpy_fire(membrane, raw_threshold):
    """v = min(m, θ), and the level of s = s·clip(round(s*/s), 0, 15) with s = 1/4; also s*/s itself (Eq. 4)."""
    threshold = 1 / (1 + np.exp(-np.float64(raw_threshold)))
    exact = np.maximum(membrane - threshold, 0) / 0.25
    return np.minimum(membrane, threshold), np.clip(np.round(exact), 0, 15), exact


def numpy_resnet18(model, images, num_steps):
    """ResNet-18, block (b), ternary kernels, 4-bit spikes, in float64 from Eq. 4 and Fig. 3: logits, levels, margin."""

    def conv(layer, x):
        return slow_conv(x, numpy_ternary(layer.kernel[...]), layer.stride)

    levels, exacts, logits = {}, [], []
    residuals = [0.0] * len(model.blocks)
    for t in range(num_steps):
        current = slow_conv(np.asarray(images, np.float64), np.asarray(model.stem.kernel[...], np.float64), 1)
        current = numpy_batch_norm(model.stem_norm, current)
        for index, block in enumerate(model.blocks):
            decay = 1 / (1 + np.exp(-np.float64(block.neuron1.raw_decay[t])))
            membrane = decay * residuals[index] + current
            residuals[index], level, exact = numpy_fire(membrane, block.neuron1.raw_threshold[t])
            levels[f"blocks.{index}.neuron1", t] = level
            exacts.append(exact.ravel())
            hidden = numpy_batch_norm(block.norm1, conv(block.conv1, 0.25 * level))
            _, level, exact = numpy_fire(hidden, block.neuron2.raw_threshold[t])
            levels[f"blocks.{index}.neuron2", t] = level
            exacts.append(exact.ravel())
            output = numpy_batch_norm(block.norm2, conv(block.conv2, 0.25 * level))
            if block.downsample is not None:
                current = numpy_batch_norm(block.downsample.norm, conv(block.downsample.conv, current))
            current = output + current
        features = current.mean((1, 2))
        logits.append(features @ np.asarray(model.head.kernel[...], np.float64) + np.asarray(model.head.bias[...]))
    exacts = np.concatenate(exacts)
    undecided = np.abs(exacts - np.floor(exacts) - 0.5)[exacts < 15]
    return np.stack(logits), levels, undecided.min()


@pytest.mark.parametrize("integer", [True, False])
def test_resnet18_equals_the_equations(integer):
    spec = spec_of(num_steps=2)
    model = quick_model(lambda: nn.resnet18((8, 8, 3), 5, width=4, spec=spec, rngs=nnx.Rngs(0)))
    variables = nn.variables_of(model)
    statistics = jax.tree.map(jnp.abs, perturbed(variables.batch_stats, seed=SEED))  # a variance is positive
    variables = nn.Variables(perturbed(variables.params, seed=SEED + 1, scale=0.1), statistics)
    images = jax.random.normal(jax.random.key(SEED), (2, 8, 8, 3))
    expected, levels, margin = numpy_resnet18(nn.with_variables(model, variables), images, 2)
    assert margin > 1e-5  # no membrane so near to a rounding boundary that float32 could fall on the other side

    network = nn.inference_form(model, record=True, integer=integer)
    logits, spikes = rollout_spikes(network, variables, images)
    assert min(float(np.mean(level != 0)) for level in levels.values()) > 0.02
    for (path, t), level in levels.items():
        np.testing.assert_array_equal(np.asarray(spikes[path][t]), 0.25 * level, err_msg=f"{path} at {t}")
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("stem", "message"),
    [
        ("events", "stem='events' reads 2 channels, one per polarity, but .* has 3"),
        ("mnist", "stem='mnist' is unknown; choose one of cifar, imagenet, events"),
    ],
)
def test_stems_that_do_not_fit(stem, message):
    with pytest.raises(ValueError, match=message):
        nn.resnet18((32, 32, 3), 10, stem=stem, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("build", [nn.resnet18, nn.resnet19, nn.resnet34])
def test_sizes_must_make_sense(build):
    with pytest.raises(ValueError, match="width=0 must be at least 1"):
        build((32, 32, 3), 10, width=0, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="must be"):
        build((32, 32), 10, rngs=nnx.Rngs(0))


@pytest.mark.slow
def test_the_online_step_of_resnet18_needs_the_memory_of_one_time_step():
    """Algorithm 1 at T = 32 within 5 % of T = 4, by the compiler's own plan."""

    def temporary_bytes(num_steps):
        model = nn.resnet18((16, 16, 3), 10, width=4, spec=spec_of(num_steps=num_steps), rngs=nnx.Rngs(SEED))
        network, variables = nn.training_form(model), nn.variables_of(model)
        batch, rule = learning.Batch(jnp.zeros((8, 16, 16, 3)), jnp.zeros(8, jnp.int32)), learning.random_step()
        step = jax.jit(lambda v, key: rule.gradient(network, cross_entropy, v, batch, key))
        return step.lower(variables, jax.random.key(0)).compile().memory_analysis().temp_size_in_bytes

    assert temporary_bytes(32) <= 1.05 * temporary_bytes(4)
