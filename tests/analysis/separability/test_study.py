import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, viz
from hdlif_jax.analysis.separability import first_layer, study
from hdlif_jax.analysis.separability.study import forward_layers
from hdlif_jax.commands.support.separability_plots import FIGURES, plot_all
from hdlif_jax.learning import Batch
from tests.analysis.own import inputs_of, sequential
from tests.conftest import cross_entropy, perturbed, small_network, spec_of

MEASURES = {"cosine", "relative_error", "sign_agreement", "norm_ratio"}


def moved(seed, model):
    """In the place of training."""
    return nn.Variables(perturbed(nn.variables_of(model).params, seed, scale=0.1), nn.variables_of(model).batch_stats)


@pytest.fixture(scope="module")
def studies():
    """Of a library's and of own neurons, with the samples of ε."""

    def parallel(seed):
        return small_network(input_shape=(4, 4, 1), widths=(4,), num_steps=2, seed=seed)

    images = jax.random.normal(jax.random.key(3), (6, 4, 4, 1))
    labels = jnp.arange(6) % 3
    own = study(lambda seed: sequential(), cross_entropy, Batch(inputs_of(sequential()), labels), moved, (0, 1),
                unroll=False)  # fmt: skip
    layer = first_layer(parallel(0), nn.ParallelHDLIFCell)
    half = study(parallel, cross_entropy, Batch(images, labels), moved, (0, 1), layer=layer, unroll=False)
    return {name: figures for name, (figures, _) in {"parallel": half, "own": own}.items()}, {
        "parallel": half[1],
        "own": own[1],
    }


def test_figures_are_means_over_the_seeds(studies):
    for figures in studies[0].values():
        for stage in ("init", "trained"):
            cosines = figures[f"first_layer_cosine_{stage}_per_seed"]
            assert len(cosines) == 2
            np.testing.assert_allclose(figures[f"first_layer_cosine_{stage}"], np.mean(cosines))
            np.testing.assert_allclose(figures[f"first_layer_cosine_{stage}_std"], np.std(cosines))
            first = next(iter(figures["cosine_per_layer"][stage].values()))
            assert (first["mean"], first["min"], first["max"]) == (np.mean(cosines), min(cosines), max(cosines))
            assert figures["estimator"][stage].keys() == {"network", *figures["cosine_per_layer"][stage]}
            agreement = figures["agreement"][stage]
            for place in (agreement["network"], *agreement["layers"].values(), *agreement["parameters"].values()):
                assert {rule: part.keys() for rule, part in place.items()} == dict.fromkeys(
                    ("accumulate", "random_step"), MEASURES
                )
        indices = [sample["separability_index"] for sample in figures["neuron_per_seed"]["init"]]
        np.testing.assert_allclose(figures["separability_index"], np.mean(indices))
        assert json.loads(json.dumps(figures)) == figures
    own = studies[0]["own"]
    assert own["first_layer_cosine_init"] != own["first_layer_cosine_trained"]
    assert list(own["cosine_per_layer"]["init"]) == ["layers.0", "layers.2"]
    assert all(len(own["membrane_agreement"]["init"]["layers.1"][measure]) == 3 for measure in MEASURES)


def test_theorem_is_about_neurons_of_a_known_leak(studies):
    assert studies[0]["parallel"]["theorem_worst_deviation"] < 1e-5
    assert studies[0]["own"]["theorem_worst_deviation"] is None


def test_pictures_of_all_models(studies, tmp_path):
    plot_all(tmp_path, *studies)
    assert {path.name for path in tmp_path.iterdir()} == set(FIGURES)
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in tmp_path.iterdir())


def test_epsilon_maps_say_which_neurons_they_are_of(studies):
    figures, samples = studies
    weights = {name: sample.weights for name, sample in samples.items()}
    maps = viz.epsilon_map(weights, layers={name: figures[name]["sampled_layer"] for name in samples})
    titles = [axes.get_title() for axes in maps.axes if axes.get_title()]
    assert [title.partition("\n")[0] for title in titles] == ["parallel: blocks.0.neuron2"] * 3 + ["own: layers.1"] * 3
    for title in titles[:3]:
        channel, sample = map(int, re.search(r"\nchannel (\d+), sample (\d+)$", title).groups())
        assert sample < samples["parallel"].weights.shape[2]
        assert channel < samples["parallel"].weights.shape[3]


def test_layers_of_the_forward_pass_leave_shortcuts_out():
    assert forward_layers(small_network()) == [
        "stem", "blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1", "blocks.1.conv2", "head"
    ]  # fmt: skip
    spec = spec_of(num_steps=2, parallel=False)
    vgg = nn.vgg_snn((16, 16, 2), 3, width=2, spec=spec, rngs=nnx.Rngs(0))
    assert forward_layers(vgg) == [*(f"units.{index}.conv" for index in range(8)), "head"]
    with_hidden_head = nnx.eval_shape(lambda: nn.resnet19((8, 8, 3), 3, width=2, spec=spec, rngs=nnx.Rngs(0)))
    layers = forward_layers(with_hidden_head)
    assert layers[0] == "stem"
    assert layers[-2:] == ["head.hidden", "head.output"]
    assert len(layers) == 1 + 2 * 8 + 2


def test_a_study_needs_a_seed():
    with pytest.raises(ValueError, match=r"seeds is empty; give at least one, e\.g\. seeds=\(0,\)"):
        study(lambda seed: sequential(), cross_entropy, Batch(jnp.zeros((3, 2, 5)), jnp.zeros(2)), moved, ())
