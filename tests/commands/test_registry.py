import dataclasses
import re
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdlif_jax import data, learning, losses, nn
from hdlif_jax.commands import registry
from hdlif_jax.commands.config import DataConfig, LearningConfig, ModelConfig, OptimizerConfig, TrainConfig
from hdlif_jax.neurons import surrogates

PARAMS = {"conv": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}, "neuron": {"raw_decay": jnp.ones(4)}}
PER_STEP = {"conv": {"kernel": False, "bias": False}, "neuron": {"raw_decay": True}}

CHOICES = [
    (ModelConfig, "neuron", registry.NEURONS),
    (ModelConfig, "surrogate", registry.SURROGATES),
    (ModelConfig, "norm", registry.NORMS),
    (ModelConfig, "init", registry.INITS),
    (ModelConfig, "architecture", registry.NETWORKS),
    (LearningConfig, "rule", registry.RULES),
    (LearningConfig, "loss", registry.LOSSES),
    (OptimizerConfig, "name", registry.OPTIMIZERS),
    (DataConfig, "encoding", registry.ENCODINGS),
    (DataConfig, "name", (*registry.DATASETS, *registry.OWN_DATA)),
]


@pytest.mark.parametrize(("kind", "field", "entries"), CHOICES)
def test_the_choices_of_a_field_are_the_names_of_the_registry(kind, field, entries):
    assert typing.get_args(typing.get_type_hints(kind)[field]) == tuple(entries)
    default = {field.name: field.default for field in dataclasses.fields(kind)}
    assert default[field] in entries
    message = f"{field}='elif' is unknown; choose one of {', '.join(entries)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(**{field: "elif"})


@pytest.mark.parametrize("name", registry.NEURONS)
def test_a_neuron_reads_what_its_entry_says(name):
    entry = registry.NEURONS[name]
    factory = entry(ModelConfig(neuron=name))
    assert hasattr(factory, "bits") == (entry.reads == "levels")
    assert hasattr(factory, "surrogate") == (entry.reads == "surrogate")


@pytest.mark.parametrize("name", registry.LOSSES)
def test_a_loss_is_of_sequences_if_its_entry_says_so(name):
    entry = registry.LOSSES[name]
    loss = entry(LearningConfig(loss=name, rule="stbp"))
    assert isinstance(loss, losses.SequenceLoss) == entry.of_sequences


@pytest.mark.parametrize("architecture", registry.NETWORKS)
def test_networks_are_built_by_name_with_their_size(architecture):
    entry = registry.NETWORKS[architecture]
    size = {"widths": (2, 4, 4)} if entry.size == "widths" else {"width": 2}
    config = ModelConfig(architecture=architecture, num_steps=2, **size)
    model = registry.make_model(config, (16, 16, 2), 3, seed=0)
    assert (model.num_steps, model.num_classes) == (2, 3)
    kernels = [leaf for leaf in jax.tree.leaves(nn.variables_of(model).params) if leaf.ndim == 4]
    assert min(kernel.shape[-1] for kernel in kernels) == 2


def test_a_seed_decides_the_kernels():
    config = ModelConfig(widths=(4,), num_steps=2)
    first, again, other = (
        nn.variables_of(registry.make_model(config, (6, 6, 1), 3, seed)).params["stem"]["kernel"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize(
    ("fields", "neuron", "second"),
    [
        ({}, nn.hd_lif(4, 0.25), nn.parallel(4, 0.25)),
        ({"spike_bits": None, "spike_scale": 0.5}, nn.hd_lif(None, 0.5), nn.parallel(None, 0.5)),
        ({"parallel": False}, nn.hd_lif(4, 0.25), nn.hd_lif(4, 0.25)),
        ({"neuron": "mem-bn"}, nn.mem_bn(4, 0.25), nn.parallel(4, 0.25)),
        ({"neuron": "parallel"}, nn.parallel(4, 0.25), nn.parallel(4, 0.25)),
        ({"neuron": "lif"}, nn.lif(), nn.lif()),
        ({"neuron": "lif", "surrogate": "arctan"}, nn.lif(surrogates.arctan()), nn.lif(surrogates.arctan())),
        ({"architecture": "vgg13"}, nn.hd_lif(4, 0.25), None),
    ],
)
def test_specs_have_the_neurons_of_the_configuration(fields, neuron, second):
    spec = registry.make_spec(ModelConfig(**fields))
    assert (spec.neuron, spec.second_neuron) == (neuron, second)


def test_rules_and_losses_take_their_numbers_from_the_configuration():
    config = LearningConfig(rule="random_k", k=3, label_smoothing=0.2)
    assert registry.make_rule(config) == learning.random_k(3)
    assert registry.make_loss(config) == losses.cross_entropy(0.2)
    assert registry.make_rule(LearningConfig(rule="stbp", stbp_segment=2)) == learning.stbp(2)


@pytest.mark.parametrize("loss", registry.LOSSES)
def test_losses_of_whole_sequences_need_a_rule_that_sees_them(loss):
    assert jnp.shape(registry.make_loss(LearningConfig(rule="stbp", loss=loss))(logits_for(loss), jnp.arange(3))) == ()
    if is_of_sequences(loss):
        with pytest.raises(ValueError, match=f"loss='{loss}' is of the whole sequence, and random_step learns from"):
            LearningConfig(loss=loss)
    else:
        LearningConfig(loss=loss)


def is_of_sequences(name):
    return isinstance(registry.make_loss(LearningConfig(rule="stbp", loss=name)), losses.SequenceLoss)


def logits_for(name):
    return jnp.ones((2, 3, 4)) if is_of_sequences(name) else jnp.ones((3, 4))


def test_sgd_is_nesterov_with_coupled_decay():
    """Against the recursion of the reference optimiser, written out for one weight."""
    optimizer = registry.make_optimizer(OptimizerConfig(weight_decay=0.5), lambda count: 0.1, PER_STEP)
    params, state = PARAMS, optimizer.init(PARAMS)
    weight, velocity = 1.0, 0.0
    for _ in range(4):
        updates, state = optimizer.update(jax.tree.map(jnp.ones_like, PARAMS), state, params)
        params = optax.apply_updates(params, updates)
        grad = 1 + 0.5 * weight
        velocity = 0.9 * velocity + grad
        weight -= 0.1 * (grad + 0.9 * velocity)
    np.testing.assert_allclose(params["conv"]["kernel"], weight, rtol=1e-5)


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
@pytest.mark.parametrize(("decay_all", "decays"), [(False, {"kernel"}), (True, {"kernel", "bias", "raw_decay"})])
def test_what_decays(name, decay_all, decays):
    config = OptimizerConfig(name=name, weight_decay=0.5, decay_all=decay_all)
    optimizer = registry.make_optimizer(config, lambda count: jnp.float32(0.1), PER_STEP)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
        updates, _ = optimizer.update(zeros, optimizer.init(PARAMS), PARAMS)
    assert {name for layer in updates.values() for name, update in layer.items() if np.any(update != 0)} == decays


def test_schedules_count_epochs():
    schedule = registry.make_schedule(OptimizerConfig(learning_rate=0.4, warmup_epochs=2), 10, epochs=12)
    np.testing.assert_allclose(
        [schedule(0), schedule(20), schedule(70), schedule(120)], [0.004, 0.4, 0.2, 0], atol=1e-6
    )


def small_dataset():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), np.uint8)
    split = data.Split(pixels, np.arange(40, dtype=np.int32) % 4)
    return data.Dataset("small", ("a", "b", "c", "d"), split, split, (0.5,), (0.3,))


def small_config(**changes):
    config = TrainConfig(epochs=2, batch_size=8, model=ModelConfig(widths=(4,), num_steps=3))
    return dataclasses.replace(config, **changes)


def make_trainer(**changes):
    with jax.numpy_dtype_promotion("standard"):  # optax' schedules mix types
        return registry.make_trainer(small_config(**changes), small_dataset())


@pytest.mark.parametrize("rule", registry.RULES)
def test_the_learning_rate_falls_by_updates(rule):
    trainer = make_trainer(learning=LearningConfig(rule=rule))
    assert trainer.updates_per_step == (3 if rule == "every_step" else 1)
    assert trainer.plan.total_steps == 2 * (36 // 8)


@pytest.mark.parametrize("encoding", registry.ENCODINGS)
def test_encodings_reach_training_and_evaluation(encoding):
    trainer = make_trainer(data=DataConfig(crop_padding=1, encoding=encoding))
    inputs = trainer.normalize(trainer.dataset.test.inputs)
    if encoding == "direct":
        assert inputs.shape == (40, 6, 6, 1)
        np.testing.assert_allclose(inputs, (trainer.dataset.test.inputs / np.float32(255) - 0.5) / 0.3, rtol=1e-5)
    else:
        assert inputs.shape == (3, 40, 6, 6, 1)
        assert set(np.unique(inputs)) == {0.0, 1.0}
        np.testing.assert_array_equal(inputs, trainer.normalize(trainer.dataset.test.inputs))
    with jax.numpy_dtype_promotion("standard"):
        state, metrics = trainer.train_step(trainer.initial_state, trainer.batch(0))
    assert np.isfinite(metrics.loss)
    assert len(trainer.accuracy_per_step(state, trainer.dataset.test)) == 3


def test_encodings_are_for_images():
    with pytest.raises(ValueError, match="encoding='poisson' makes a sequence of an image, and nmnist is made of"):
        DataConfig(name="nmnist", encoding="poisson")
