import dataclasses
import functools
import re
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import data, learning, losses, nn, training
from hdlif_jax.commands import make, registry
from hdlif_jax.commands.config import (
    DataConfig,
    FirstConfig,
    LearningConfig,
    LIFConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

MODEL = nn.mlp((3,), 2, widths=(4,), spec=nn.Spec(num_steps=4, neuron=nn.lif()), rngs=nnx.Rngs(0))
NETWORK = nn.training_form(MODEL)
PARAMS = jax.tree.map(jnp.ones_like, nn.variables_of(MODEL).params)
SGD = OptimizerConfig(weight_decay=0.5)

CHOICES = [
    (ModelConfig, "neuron", registry.NEURONS),
    (ModelConfig, "surrogate", registry.SURROGATES),
    (ModelConfig, "norm", registry.NORMS),
    (ModelConfig, "init", registry.INITS),
    (ModelConfig, "architecture", registry.NETWORKS),
    (LearningConfig, "rule", registry.RULES),
    (LearningConfig, "loss", registry.LOSSES),
    (LearningConfig, "trace", registry.TRACES),
    (OptimizerConfig, "name", registry.OPTIMIZERS),
    (OptimizerConfig, "schedule", registry.SCHEDULES),
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


@pytest.mark.parametrize("trace", [name for name, trace in registry.TRACES.items() if trace is not None])
@pytest.mark.parametrize("name", registry.NEURONS)
def test_a_neuron_has_the_traces_that_its_entry_says(name, trace):
    """Also if it is a LIF without the soft reset that ratios need; what has none is refused in the configuration."""
    options = [LIFConfig(reset=reset) for reset in ("soft", "hard", "none")] if name == "lif" else [LIFConfig()]
    for lif in options:
        model = ModelConfig(neuron=name, lif=lif, parallel=False if name != "parallel" else None)
        cell = registry.NEURONS[name](model)(2, 3)
        has = registry.TRACES[trace]().refusal(cell) is None
        assert (trace in registry.NEURONS[name].traces(model)) == has
        run = functools.partial(TrainConfig, model=model, learning=LearningConfig(rule="accumulate", trace=trace))
        if has:
            run()
        else:
            with pytest.raises(ValueError, match=f"is not of model.neuron={name} as it is, which has"):
                run()


@pytest.mark.parametrize("name", registry.LOSSES)
def test_a_loss_is_of_sequences_if_its_entry_says_so(name):
    entry = registry.LOSSES[name]
    loss = entry(LearningConfig(loss=name, rule="stbp"))
    assert isinstance(loss, losses.SequenceLoss) == entry.of_sequences


@pytest.mark.parametrize("name", registry.RULES)
def test_a_rule_is_of_sequences_if_its_entry_says_so(name):
    entry = registry.RULES[name]
    assert isinstance(entry(LearningConfig(rule=name), NoTeacher()), learning.stbp) == entry.of_sequences


@pytest.mark.parametrize("architecture", registry.NETWORKS)
def test_networks_are_built_by_name_with_their_size(architecture):
    entry = registry.NETWORKS[architecture]
    size = {"widths": (2, 4, 4)} if entry.size == "widths" else {"width": 2}
    config = ModelConfig(architecture=architecture, num_steps=2, **size)
    model = make.make_model(config, (32, 32, 2), 3, seed=0)
    assert (model.num_steps, model.num_classes) == (2, 3)
    kernels = [leaf for leaf in jax.tree.leaves(nn.variables_of(model).params) if leaf.ndim == 4]
    assert 2 in {kernel.shape[-1] for kernel in kernels}


def test_a_seed_decides_the_kernels():
    config = ModelConfig(widths=(4,), num_steps=2)
    first, again, other = (
        nn.variables_of(make.make_model(config, (6, 6, 1), 3, seed)).params["stem"]["kernel"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_rules_and_losses_take_their_numbers_from_the_configuration():
    config = LearningConfig(rule="random_k", k=3, label_smoothing=0.2)
    assert make.make_rule(config) == learning.random_k(3)
    assert make.make_loss(config, 4) == losses.cross_entropy(0.2)
    assert make.make_rule(LearningConfig(rule="stbp", stbp_segment=2)) == learning.stbp(2)


def test_the_online_systems_by_their_words():
    """SLTT, SLTT-K, OTTT-A, OTTT-O and NDOT, and their losses."""
    decay, ratio = learning.decay_trace(), learning.ratio_trace("code")
    for fields, rule in (
        ({"rule": "accumulate"}, learning.accumulate()),
        ({"rule": "random_k", "early_stop": False}, learning.random_k(2, early_stop=False)),
        ({"rule": "accumulate", "trace": "decay"}, learning.traced(learning.accumulate(), decay)),
        ({"rule": "every_step", "trace": "decay"}, learning.traced(learning.every_step(), decay)),
        ({"rule": "every_step", "trace": "ratio-code"}, learning.traced(learning.every_step(), ratio)),
    ):
        assert make.make_rule(LearningConfig(**fields)) == rule
    logits, labels = jax.random.normal(jax.random.key(0), (4, 3)), jnp.arange(4) % 3
    options = {"loss": "cross-entropy+mse", "label_smoothing": 0.0, "mse_weight": 0.2, "mean_over_steps": True}
    entropy = losses.cross_entropy()(logits, labels)
    for target, compared in (("one-hot", jax.nn.one_hot(labels, 3)), ("constant", jnp.ones((4, 3)))):
        loss = make.make_loss(LearningConfig(**options, mse_target=target), 6)
        expected = (0.8 * entropy + 0.2 * jnp.mean((logits - compared) ** 2)) / 6
        np.testing.assert_allclose(loss(logits, labels), expected, rtol=1e-6)
    options = {"rule": "stbp", "loss": "tet", "label_smoothing": 0.0, "tet_weight": 0.3, "tet_constant": 2.0}
    expected = 0.7 * entropy + 0.3 * jnp.mean((logits - 2) ** 2)
    np.testing.assert_allclose(make.make_loss(LearningConfig(**options), 1)(logits[None], labels), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rule": "stbp", "trace": "decay"}, "trace='decay' is for online rules, and stbp goes back through time"),
        ({"rule": "stbp", "loss": "tet", "mean_over_steps": True}, "mean_over_steps=True with loss='tet', which is a"),
    ],
)
def test_what_does_not_go_together_is_refused(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        LearningConfig(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", registry.LOSSES)
def test_losses_of_whole_sequences_need_a_rule_that_sees_them(loss):
    assert jnp.shape(make.make_loss(LearningConfig(rule="stbp", loss=loss), 3)(logits_for(loss), jnp.arange(3))) == ()
    if is_of_sequences(loss):
        with pytest.raises(ValueError, match=f"loss='{loss}' is of the whole sequence, and random_step learns from"):
            LearningConfig(loss=loss)
    else:
        LearningConfig(loss=loss)


def is_of_sequences(name):
    return isinstance(make.make_loss(LearningConfig(rule="stbp", loss=name), 3), losses.SequenceLoss)


def logits_for(name):
    return jnp.ones((2, 3, 4)) if is_of_sequences(name) else jnp.ones((3, 4))


class NoTeacher:
    """Of rules that are made and do not run."""

    def activations(self, inputs):
        raise AssertionError("nothing is to be learned")


def small_dataset():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), np.uint8)
    split = data.Split(pixels, np.arange(40, dtype=np.int32) % 4)
    return data.Dataset("small", ("a", "b", "c", "d"), split, split, (0.5,), (0.3,))


def small_config(**changes):
    config = TrainConfig(epochs=2, batch_size=8, model=ModelConfig(widths=(4,), num_steps=3))
    return dataclasses.replace(config, **changes)


def make_trainer(rule="random_step", **changes):
    if registry.RULES[rule].has_teacher:
        changes["first"] = FirstConfig("digits-ltl-teacher", use="teacher")
    config = small_config(learning=LearningConfig(rule=rule), **changes)
    with jax.numpy_dtype_promotion("standard"):  # optax' schedules mix types
        return make.make_trainer(config, small_dataset(), teacher=NoTeacher())


@pytest.mark.parametrize("rule", registry.RULES)
def test_the_learning_rate_falls_by_updates(rule):
    trainer = make_trainer(rule)
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
        assert set(np.unique(inputs)) == ({-1.0, 0.0, 1.0} if encoding == "dct" else {0.0, 1.0})
        np.testing.assert_array_equal(inputs, trainer.normalize(trainer.dataset.test.inputs))
    with jax.numpy_dtype_promotion("standard"):
        state, metrics = trainer.train_step(trainer.initial_state, trainer.batch(0))
    assert np.isfinite(metrics.loss)
    assert len(trainer.accuracy_per_step(state, trainer.dataset.test)) == 3


def test_encodings_are_for_images():
    with pytest.raises(ValueError, match="encoding='poisson' makes a sequence of an image, and nmnist is made of"):
        DataConfig(name="nmnist", encoding="poisson")


@pytest.mark.parametrize("options", [{"auto_augment": True}, {"resized_crop": True}, {"erasing": 0.5}], ids=str)
def test_augmentations_of_pictures_are_for_images(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name} is for images, and nmnist is made of events; use flip, roll and"):
        DataConfig(name="nmnist", **options)
    assert getattr(make.make_augmentation(DataConfig(**options)), name) == options[name]


def adjusted(epoch, **model):
    """A trainer's first variables, and what is made of them before an epoch."""
    learning_config = LearningConfig(rule="stbp", loss="mean-output")
    config = ModelConfig(widths=(4,), num_steps=3, weights="float", **model)
    with jax.numpy_dtype_promotion("standard"):
        config = small_config(model=config, learning=learning_config)
        trainer = make.make_trainer(config, small_dataset())
    variables, batch = nn.variables_of(trainer.model), trainer.batch(0)
    adjust = make.make_adjust(config, trainer.plan, trainer.model, trainer.loss)
    batch = learning.Batch(trainer.normalize(batch.inputs), batch.labels)
    return variables, [adjust(epoch, variables, batch) for _ in range(2)]


def test_the_temperature_of_dspike_is_chosen_before_each_epoch():
    options = {"neuron": "lif", "lif": LIFConfig(threshold=0.5, reset="hard"), "surrogate": "dspike"}
    for epoch in (0, 1):
        before, (after, again) = adjusted(epoch, **options)
        jax.tree.map(np.testing.assert_array_equal, after, again)  # so that a resumed run is the same
        jax.tree.map(np.testing.assert_array_equal, before.params, after.params)
        (start,), (chosen,) = ({float(leaf) for leaf in temperatures(variables)} for variables in (before, after))
        assert start == 3
        assert abs(chosen - start) == pytest.approx(0.2, abs=1e-5) or chosen == start


def temperatures(variables):
    named = jax.tree_util.tree_leaves_with_path(variables.batch_stats)
    return [leaf for path, leaf in named if path[-1].key == "surrogate_value"]


def test_thresholds_are_found_before_the_first_epoch_alone():
    lif = LIFConfig(order="fire-charge", relative=True, learn_threshold=False, found_threshold=True)
    for epoch in (0, 1):
        before, (after, again) = adjusted(epoch, neuron="lif", lif=lif)
        jax.tree.map(np.testing.assert_array_equal, after, again)
        moved = [bool(np.any(new != old)) for new, old in zip(*map(jax.tree.leaves, (after, before)), strict=True)]
        assert any(moved) == (epoch == 0)


def test_nothing_is_chosen_for_others():
    trainer = make_trainer()
    assert make.make_adjust(small_config(), trainer.plan, trainer.model, trainer.loss) is None


def test_norms_of_a_configuration():
    spec = make.make_spec(ModelConfig(norm="tdbn", norm_gain=0.5, residual_gain=0.5, identity_norm=True, bias=True))
    assert spec.norm == nn.batch_norm(statistics="sequence", gain=0.5, unbiased=True)
    assert spec.residual_norm == nn.batch_norm(statistics="sequence", gain=0.25, unbiased=True)
    assert (spec.identity_norm, spec.bias) == (True, True)
    assert make.make_spec(ModelConfig()).residual_norm is None
    assert make.make_spec(ModelConfig(norm="none")).norm == nn.no_norm()
    assert make.make_spec(ModelConfig(weights="standardized")).first_weights == "standardized"
    assert make.make_spec(ModelConfig(weights="ternary")).first_weights == "float"


@jax.numpy_dtype_promotion("standard")  # optax' schedules mix types
def test_thresholds_are_found_before_the_first_epoch_and_stay():
    lif = LIFConfig(learn_threshold=False, found_threshold=True, order="fire-charge", relative=True, height=1.0)
    model = ModelConfig(widths=(4,), num_steps=4, neuron="lif", lif=lif)
    config = small_config(model=model, data=DataConfig(encoding="dct"), learning=LearningConfig(rule="stbp"))
    trainer = make.make_trainer(config, small_dataset())
    start = trainer.initial_state.variables
    inputs = trainer.normalize(jnp.asarray(trainer.plan.train.inputs))
    expected = training.find_thresholds(trainer.model, start, inputs).batch_stats
    state = trainer.fit(callbacks=training.Callbacks(on_warning=lambda message: None)).state
    names = [path for path, _ in jax.tree_util.tree_leaves_with_path(expected) if path[-1].key == "threshold"]
    assert len(names) == 2
    for path in names:
        found, wanted, first = (
            float(functools.reduce(lambda tree, key: tree[key.key], path, tree))
            for tree in (state.variables.batch_stats, expected, start.batch_stats)
        )
        assert (found, first) == (wanted, 1)
        assert wanted != 1
