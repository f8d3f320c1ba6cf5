"""In 64-bit mode (`JAX_ENABLE_X64`) every result has the type and value that it has without, also of 64-bit arrays."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import analysis, deploy, learning, losses, nn, rollout, training
from hdlif_jax.commands import registry
from hdlif_jax.commands.config import DataConfig, LearningConfig
from hdlif_jax.data import Dataset
from hdlif_jax.neurons import surrogates
from hdlif_jax.training import Augmentation, Checkpoints
from tests.deploy.networks import unsettled
from tests.training.trainers import make_dataset, make_trainer

pytestmark = pytest.mark.slow

INPUTS = np.random.default_rng(0).standard_normal((6, 6, 6, 2))  # float64, as numpy makes them
LABELS = np.arange(6) % 3
ALL = Augmentation(1, True, False, 2, 1, 10.0, 0.5, 0.5, 0.5, resized_crop=True, erasing=0.5)


def network(num_steps=2, neuron=nn.mem_bn()):
    spec = nn.Spec(num_steps, neuron, nn.parallel(), weights="ternary", attention="seca-1")
    return unsettled(nn.conv_net((6, 6, 2), 3, widths=(4,), spec=spec, rngs=nnx.Rngs(0)))


def teacher():
    spec = nn.Spec(1, nn.relu(), weights="float")
    model = nn.conv_net((6, 6, 2), 3, widths=(4,), spec=spec, rngs=nnx.Rngs(0))
    return learning.Teacher(model, nn.variables_of(model))


def learns(name):
    rule = registry.RULES[name](LearningConfig(rule=name), teacher())
    learner, step = training.start(network(), rule, losses.cross_entropy(0.1), optax.sgd(0.1, 0.9))
    return step(learner, (INPUTS, LABELS))


def traces():
    rule = learning.traced(learning.accumulate(), learning.ratio_trace())
    model = nn.mlp((6, 6, 2), 3, widths=(8,), spec=nn.Spec(2, nn.lif(height=1.0)), rngs=nnx.Rngs(0))
    learner, step = training.start(model, rule, losses.cross_entropy(0.1), optax.sgd(0.1, 0.9))
    return step(learner, (INPUTS, LABELS))


def distributions():
    learner, step = training.start(network(), learning.random_step(), losses.cross_entropy(), optax.sgd(0.1))
    return step(learner, (INPUTS, np.eye(3)[LABELS]))


def chosen_steps():
    model = network()
    form, variables = nn.training_form(model), nn.variables_of(model)
    return learning.gradient_at_steps(form, losses.cross_entropy(), variables, learning.Batch(INPUTS, LABELS), [0, 1])


def runs():
    model = network()
    form, variables = nn.inference_form(model), nn.variables_of(model)
    logits = rollout.rollout(form, variables, INPUTS)
    return logits, rollout.accuracy_per_step(logits, LABELS), rollout.record(form, variables, INPUTS)


def layer_by_layer():
    model = network()
    form, variables = nn.training_form(model), nn.variables_of(model)
    return form.sequence(form.quantize(variables.params), variables.batch_stats, INPUTS)


def trains(tmp_path):
    trainer = make_trainer(make_dataset(), augmentation=ALL, epochs=1)
    checkpoints = Checkpoints(tmp_path / f"{jax.config.jax_enable_x64}" / "checkpoints")
    state, _ = trainer.fit(None, checkpoints)
    checkpoints.close()
    return state, Checkpoints(checkpoints.directory, reads_only=True).load(trainer.initial_state)


def auto_augments():
    trainer = make_trainer(rgb(), augmentation=Augmentation(auto_augment=True), epochs=1)
    return trainer.train_step(trainer.initial_state, trainer.batch(0))


def rgb():
    dataset = make_dataset()
    parts = (part._replace(inputs=np.repeat(part.inputs, 2, -1)[..., :3]) for part in (dataset.train, dataset.test))
    return Dataset("rgb", dataset.class_names, *parts, (0.3,) * 3, (0.3,) * 3)


def encodes(name):
    encoding = registry.ENCODINGS[name](DataConfig(encoding=name), 3)
    return encoding(jax.random.key(0), np.random.default_rng(0).uniform(size=(2, 4, 4, 1)).astype(np.float32))


def deploys():
    folded = deploy.fold.fold(network())
    arrays = folded.arrays
    return deploy.execute.rollout(folded.graph, "float", arrays, np.asarray(INPUTS, np.float32)[None])


def chooses_a_temperature():
    model = network(neuron=nn.lif(surrogates.dspike(), height=1.0))
    form, variables, loss = nn.training_form(model), nn.variables_of(model), losses.cross_entropy()
    key = jax.random.key(0)
    return training.choose_temperature(form, loss, variables, learning.Batch(INPUTS, LABELS), num_weights=9, key=key)


def runs_gated_and_noisy_neurons():
    smooth = nn.lif(surrogates.smooth_step("ramp", noise=0.3), order="fire-charge", relative=True)
    spec = nn.Spec(2, nn.glif(), smooth, weights="float")
    model = nn.conv_net((6, 6, 2), 3, widths=(4,), spec=spec, rngs=nnx.Rngs(0))
    rule, batch = learning.stbp(), learning.Batch(INPUTS, LABELS)
    return rule.gradient(
        nn.training_form(model), losses.cross_entropy(), nn.variables_of(model), batch, jax.random.key(0)
    )


def counts():
    return analysis.measure(network(), [INPUTS]).summary()


def compares():
    model = network(neuron=nn.hd_lif(bits=None))
    compare = analysis.separability.make_comparison(nn.training_form(model, record=True), losses.cross_entropy())
    return compare(nn.variables_of(model), learning.Batch(INPUTS, LABELS))


CASES = {
    **{f"learns by {name}": lambda name=name: learns(name) for name in registry.RULES},
    **{f"encodes {name}": lambda name=name: encodes(name) for name in registry.ENCODINGS},
    **{case.__name__: case for case in (traces, distributions, chosen_steps, runs, layer_by_layer, auto_augments)},
    **{case.__name__: case for case in (deploys, counts, compares)},
    **{case.__name__: case for case in (chooses_a_temperature, runs_gated_and_noisy_neurons)},
    "trains": trains,
}


@pytest.mark.parametrize("name", CASES)
def test_64_bit_mode_changes_neither_types_nor_values(name, tmp_path):
    arguments = (tmp_path,) if name == "trains" else ()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = CASES[name](*arguments)
        with jax.enable_x64(True):
            found = CASES[name](*arguments)
    leaves = jax.tree.leaves_with_path(expected)
    assert leaves
    for (path, value), got in zip(leaves, jax.tree.leaves(found), strict=True):
        where = jax.tree_util.keystr(path)
        assert getattr(got, "dtype", type(got)) == getattr(value, "dtype", type(value)), where
        np.testing.assert_allclose(np.asarray(got), np.asarray(value), rtol=1e-4, atol=1e-5, err_msg=where)
