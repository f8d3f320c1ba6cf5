"""What all optimisers, schedules, encodings and datasets of the registry must do, without being named here."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.commands import make, registry
from hdlif_jax.commands.config import DataConfig, OptimizerConfig
from tests.test_contract import BATCH, CONFIG, NUM_STEPS, SHAPE, conv_net


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_every_optimizer_lowers_a_loss(name):
    config = OptimizerConfig(name=name, learning_rate=0.05)
    model = conv_net(nn.lif())
    params = jax.tree.map(jnp.ones_like, nn.variables_of(model).params)
    optimizer = make.make_optimizer(config, lambda count: 0.05, nn.training_form(model))
    state = optimizer.init(params)
    value = lambda params: sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params))  # noqa: E731
    start = value(params)
    with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
        for _ in range(5):
            updates, state = optimizer.update(jax.grad(value)(params), state, params)
            params = jax.tree.map(jnp.add, params, updates)
    assert value(params) < start


@pytest.mark.parametrize("name", registry.SCHEDULES)
def test_every_schedule_is_positive_to_the_end_and_reaches_its_rate(name):
    fields = {"milestones": (2, 3)} if name == "steps" else {}
    config = OptimizerConfig(schedule=name, learning_rate=0.5, warmup_epochs=1, **fields)
    schedule = make.make_schedule(config, 10, 4)
    found = np.asarray(jax.vmap(schedule)(jnp.arange(40)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [jax.jit(schedule)(count) for count in range(40)], rtol=1e-6)
    assert np.all(found > 0)
    np.testing.assert_allclose([found[0], found.max(), found[10]], [0.005, 0.5, 0.5], rtol=1e-6)
    assert np.all(np.diff(found[10:]) <= 0)


@pytest.mark.parametrize("name", registry.ENCODINGS)
def test_every_encoding(name):
    encoding = make.make_encoding(DataConfig(encoding=name), NUM_STEPS)
    inputs = jax.random.uniform(jax.random.key(0), (BATCH, *SHAPE))
    if encoding is None:  # the input itself, shown at every step
        return
    frames = jax.jit(encoding)(jax.random.key(1), inputs)
    assert frames.shape == (NUM_STEPS, BATCH, *SHAPE)
    assert frames.dtype == inputs.dtype
    np.testing.assert_array_equal(frames, encoding(jax.random.key(1), inputs))
    chex.assert_tree_all_finite(frames)
    assert {1} < set(np.unique(frames)) <= {-1, 0, 1}  # as deployed networks read codes


@pytest.mark.parametrize("name", registry.DATASETS)
def test_every_dataset_says_what_a_network_reads(name):
    spec = registry.DATASETS[name].input_spec()
    assert len(spec.shape) == 3
    assert min(spec.shape) >= 1
    assert spec.num_classes >= 2
    assert DataConfig(name=name).name == name


@pytest.mark.parametrize("name", registry.OWN_DATA)
def test_own_data_is_asked_for_by_its_place(name, tmp_path):
    config = DataConfig(name=name, dir=str(tmp_path / "nowhere"))
    assert config.is_own
    with pytest.raises(ValueError, match="nowhere") as caught:
        registry.OWN_DATA[name](config, NUM_STEPS, None)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value) or "such as" in str(caught.value)


@pytest.mark.parametrize("name", registry.INITS)
def test_kernels_start_finite_and_not_all_alike(name):
    kernel = registry.INITS[name](CONFIG)(jax.random.key(0), (3, 3, 4, 8), jnp.float32)
    assert (kernel.shape, kernel.dtype) == ((3, 3, 4, 8), jnp.float32)
    assert np.all(np.isfinite(kernel))
    assert len(np.unique(kernel)) > 200
