"""Records show themselves in a line, and in notebooks as a table."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import analysis, deploy, learning, losses, nn, show, training
from hdlif_jax.data import Dataset, Split
from tests.conftest import small_network

ARTIFACT = pathlib.Path(__file__).parent / "deploy" / "fixtures" / "artifact-v1"


def records():
    model = small_network(num_steps=2)
    variables, images = nn.variables_of(model), jnp.ones((2, 6, 6, 2))
    split = Split(np.zeros((40, 6, 6, 2), np.uint8), np.zeros(40, np.int32))
    dataset = Dataset("mine", ("a", "b", "c"), split, split, (0.5, 0.5), (0.5, 0.5))
    return {
        "Network": (nn.inference_form(model, record=True), "form: inference, steps: 2, input: (6, 6, 2), classes: 3"),
        "Variables": (variables, "params: "),
        "Gradient": (
            learning.Gradient(variables.params, jnp.float32(0.5), jnp.ones((2, 3)), {}, jnp.array([True, False])),
            "loss: 0.5, logits: (2, 3), learned: [ True False]",
        ),
        "Costs": (analysis.measure(model, [images]), "inputs: 2, weights: "),
        "Batch": (learning.Batch(images, jnp.arange(2)), "inputs: float32[2, 6, 6, 2], labels: int32[2]"),
        "Weights": (training.Weights(training.by_name(variables), None), "in 38 arrays, config: none"),
        "Plan": (training.plan(dataset, epochs=3, batch_size=8), "dataset: mine, train: 36, validation: 4, test: 40"),
        "Folded": (deploy.fold.fold(model), "steps: 2, input: (6, 6, 2), classes: 3"),
        "Artifact": (deploy.read(ARTIFACT), "classes: 5, integer layers: 4"),
        "Deployed": (deploy.load(ARTIFACT, "float"), "integer layers: 4, arithmetic: float"),
    }


def test_a_line_and_a_table_each():
    for name, (record, text) in records().items():
        assert repr(record).startswith(f"{name}(")
        assert text in repr(record)
        assert len(repr(record)) < 300
        assert "\n" not in repr(record)
        table = record._repr_html_()
        assert table.startswith("<table><caption>")
        assert table.count("<tr>") == table.count("</tr>") > 1


def test_layers_are_rows_in_a_notebook():
    costs = records()["Costs"][0]
    table = costs._repr_html_()
    for row in (*costs.synapses, *costs.neurons):
        assert f"<td>{row.path}</td>" in table


def test_what_is_not_known_yet_is_shown_too():
    def inside(loss):
        assert "JitTracer" in repr(learning.Gradient({}, loss, jnp.ones((2, 3)), {}, jnp.ones(2, bool)))
        return loss

    jax.jit(inside)(1.0)
    assert show.entries({"a": True, "b": np.ones(3)}) == "4 in 2 arrays"


def test_nothing_becomes_markup():
    assert "<b>" not in show.table("a", {"b": "<b>"})


@pytest.mark.parametrize("loss", [losses.cross_entropy()])
def test_a_state_of_training_shows_its_step(loss):
    import optax

    state, _ = training.start(small_network(), learning.random_step(), loss, optax.sgd(0.1))
    assert repr(state).startswith("TrainState(step: 0, params: ")
    assert state._repr_html_()
