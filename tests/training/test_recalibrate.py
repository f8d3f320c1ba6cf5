import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, training
from tests.conftest import perturbed, small_network
from tests.training.trainers import make_trainer


def watched_inputs(model, variables, inputs):
    """By path of every BatchNorm, what it reads at each time-step `[T, B, H, W, C]`; of the stem `[1, ...]`."""
    read = {}
    copy = nnx.clone(nn.with_variables(model, variables))

    def watch(path, module):
        if not isinstance(module, nn.BatchNorm):
            return None

        def run(call, x):
            read.setdefault(path, []).append(x)
            return call(x)

        return run

    for _, module in nn.modules(copy):
        module.form = nn.Form(True)
    nn.intercept(copy, watch)
    quantized = nn.training_form(model).quantize(variables.params)
    for path, module in nn.modules(copy):
        if isinstance(module, nn.Synapse):
            kernel = quantized
            for part in path.split("."):
                kernel = kernel[int(part) if part.isdigit() else part]
            module.kernel[...] = kernel["kernel"]
    state, current = None, copy.encode(inputs)
    for t in range(model.num_steps):
        state, _ = copy(state, current, nn.Tick(t))
    return {path: np.stack(values).astype(np.float64) for path, values in read.items()}


def stats_of(variables, path):
    node = variables.batch_stats
    for part in path.split("."):
        node = node[int(part) if part.isdigit() else part]
    return node


@pytest.fixture(scope="module")
def trained():
    model = small_network(num_steps=3, widths=(3,))
    variables = nn.variables_of(model)
    return model, nn.Variables(perturbed(variables.params), variables.batch_stats)


def test_the_statistics_are_the_means_over_batches_and_time_steps(trained):
    model, variables = trained
    batches = [jax.random.normal(jax.random.key(index), (4, 6, 6, 2)) for index in range(2)]
    found = training.recalibrate(model, variables, batches)
    jax.tree.map(np.testing.assert_array_equal, found.params, variables.params)
    read = [watched_inputs(model, variables, inputs) for inputs in batches]
    assert read[0].keys() == {"stem_norm", "blocks.0.norm1", "blocks.0.norm2"}
    for path in read[0]:
        values = np.stack([one[path] for one in read])  # [batches, T or 1, B, H, W, C]
        assert values.shape[1] == (1 if path == "stem_norm" else 3)
        statistics = stats_of(found, path)
        np.testing.assert_allclose(statistics["mean"], values.mean((0, 1, 2, 3, 4)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(statistics["var"], values.var((2, 3, 4)).mean((0, 1)), rtol=1e-4, atol=1e-5)


def test_mem_bn_has_statistics_of_each_step():
    model = small_network(num_steps=2, widths=(3,), neuron="mem-bn", parallel=False)
    variables = nn.variables_of(model)
    inputs = jax.random.normal(jax.random.key(0), (4, 6, 6, 2))
    once = training.recalibrate(model, variables, [inputs])
    network = nn.training_form(model)
    params = network.quantize(variables.params)
    current, stats = network.encode(params, variables.batch_stats, inputs)
    for t, state in ((0, None), (1, None)):
        output = network.step(params, stats, state if t == 0 else output.state, current, nn.Tick(t))  # noqa: F821
        stats = output.batch_stats
    # One batch moved the running statistics, from 0 and 1, by a tenth of the way to its own.
    moved, own = stats["blocks"][0]["neuron1"], once.batch_stats["blocks"][0]["neuron1"]
    np.testing.assert_allclose(moved["mean"], 0.1 * own["mean"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * own["var"], rtol=1e-4)


def test_sequences_and_statistics_of_the_sequence():
    spec = nn.Spec(num_steps=2, norm=nn.batch_norm(statistics="sequence"))
    model = nn.conv_net((6, 6, 2), 3, widths=(3,), spec=spec, rngs=nnx.Rngs(0))
    inputs = jax.random.normal(jax.random.key(0), (2, 4, 6, 6, 2))
    found = training.recalibrate(model, nn.variables_of(model), [inputs])
    current = np.asarray(model.stem(inputs.reshape(-1, 6, 6, 2)), np.float64)
    np.testing.assert_allclose(found.batch_stats["stem_norm"]["mean"], current.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.batch_stats["stem_norm"]["var"], current.var((0, 1, 2)), rtol=1e-4)


def test_a_norm_of_one_s_own_over_the_sequence_too():
    class Own(nn.Module):
        over_sequence, momentum = True, 0.5

        def __init__(self, num_channels, rngs):
            self.mean = nnx.BatchStat(jnp.zeros(num_channels))

        def __call__(self, x):
            return x - self.mean[...].reshape((1,) * (x.ndim - 1) + (-1,))

        def over_time(self, x):
            new = jnp.mean(x, tuple(range(x.ndim - 1)))
            self.mean[...] = self.momentum * self.mean[...] + (1 - self.momentum) * new
            return x - new.reshape((1,) * (x.ndim - 1) + (-1,))

    model = nn.conv_net((6, 6, 2), 3, widths=(3,), spec=nn.Spec(num_steps=2, norm=Own), rngs=nnx.Rngs(0))
    inputs = 1 + jax.random.normal(jax.random.key(0), (2, 4, 6, 6, 2))
    found = training.recalibrate(model, nn.variables_of(model), [inputs])
    current = np.asarray(model.stem(inputs.reshape(-1, 6, 6, 2)), np.float64)
    np.testing.assert_allclose(found.batch_stats["stem_norm"]["mean"], current.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_recalibrated_is_refused_by_name(trained):
    model, variables = trained

    class Own(nn.Module):
        def __init__(self, num_channels, rngs):
            self.mean = nnx.BatchStat(jnp.zeros(num_channels))

        def __call__(self, x):
            return x

    with pytest.raises(ValueError, match="there is no batch to recalibrate with"):
        training.recalibrate(model, variables, [])
    own = nn.conv_net((6, 6, 2), 3, widths=(3,), spec=nn.Spec(num_steps=2, norm=Own), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="is of type Own with running statistics and no momentum"):
        training.recalibrate(own, nn.variables_of(own), [jnp.ones((2, 6, 6, 2))])


@pytest.fixture(scope="module")
def plain():
    trainer = make_trainer(epochs=1)
    return trainer, *trainer.fit()


@pytest.mark.parametrize("choice", ["auto", "yes", "no"])
def test_a_run_ends_with_what_was_chosen(choice, plain, monkeypatch):
    trainer, state, (record,) = plain
    before = record["validation_accuracy_per_step"]
    anew = trainer.recalibrated(state)
    after = trainer.accuracy_per_step(anew, trainer.plan.validation)
    monkeypatch.setattr(trainer, "_recalibrate", choice)
    ended, validation = trainer._recalibrated(state, before)
    takes = choice == "yes" or (choice == "auto" and after[-1] > before[-1])
    jax.tree.map(np.testing.assert_array_equal, ended.batch_stats, (anew if takes else state).batch_stats)
    assert validation == (after if takes else before)
    if choice == "auto":  # nothing to compare on
        assert trainer._recalibrated(state, None) == (state, None)
        worse = trainer._recalibrated(state, [0.0, 0.0])
        jax.tree.map(np.testing.assert_array_equal, worse[0].batch_stats, anew.batch_stats)


def test_recalibrated_statistics_are_those_of_the_training_images(plain):
    trainer, state, _ = plain
    batches = [trainer.normalize(trainer.batch(step).inputs) for step in range(trainer.plan.steps_per_epoch)]
    expected = training.recalibrate(trainer.model, state.variables, batches)
    found = trainer.recalibrated(state).batch_stats
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected.batch_stats)


def test_the_last_epoch_alone_is_recalibrated_and_says_so(plain):
    _, _, (record,) = plain
    assert not record["recalibrated"]
    _, history = make_trainer(epochs=2, recalibrate="yes").fit()
    assert [record["recalibrated"] for record in history] == [False, True]


def test_variables_of_another_network_are_refused(images):
    """Statistics of one step would be broadcast to all."""
    model, other = (small_network(neuron="mem-bn", num_steps=steps) for steps in (4, 1))
    mixed = nn.Variables(nn.variables_of(model).params, nn.variables_of(other).batch_stats)
    with pytest.raises(ValueError, match=r"batch_stats: .* is float32\[1, 4\] and the network needs float32\[4, 4\]"):
        training.recalibrate(model, mixed, [images])


def test_what_is_set_is_no_statistic_and_statistics_follow_it(images):
    """A found threshold stays, and what is normalised behind it is that of its spikes."""
    neuron = nn.lif(threshold=0.9, learn_threshold=False, found_threshold=True)
    spec = nn.Spec(num_steps=3, neuron=neuron, second_neuron=neuron)
    model = nn.conv_net((6, 6, 2), 3, widths=(3,), spec=spec, rngs=nnx.Rngs(0))
    variables = nn.variables_of(model)
    settings = variables.batch_stats["blocks"][0]
    for name in ("neuron1", "neuron2"):
        settings[name]["threshold"] = jnp.float32(0.3)
    found = training.recalibrate(model, variables, [images])
    for name in ("neuron1", "neuron2"):
        assert found.batch_stats["blocks"][0][name]["threshold"] == np.float32(0.3)
    for path, x in watched_inputs(model, variables, images).items():
        expected = x.mean(axis=tuple(range(x.ndim - 1)))
        np.testing.assert_allclose(stats_of(found, path)["mean"], expected, atol=1e-5)
        assert np.any(expected != 0)
