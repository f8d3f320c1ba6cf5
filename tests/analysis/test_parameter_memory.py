"""Parameter memory of the networks of Table 1, in float32: what the paper prints, and what the authors' own have."""

import pytest
from flax import nnx

from hdlif_jax import analysis, nn

PLAIN = nn.Spec(neuron=nn.lif(), weights="float")
BIASED = nn.Spec(neuron=nn.lif(), weights="float", bias=True)
STANDARDIZED = nn.Spec(neuron=nn.lif(), weights="standardized", norm=nn.no_norm())
CIFAR, EVENTS, TINY = (32, 32, 3), (48, 48, 2), (64, 64, 3)


@pytest.mark.parametrize(
    ("build", "input_shape", "classes", "spec", "megabytes"),
    [
        (nn.post_resnet18, CIFAR, 10, PLAIN, 44.657),
        (nn.post_resnet18, CIFAR, 100, PLAIN, 44.842),
        (nn.post_resnet19, CIFAR, 10, PLAIN, 50.481),
        (nn.post_resnet19, CIFAR, 100, PLAIN, 50.573),
        (nn.post_resnet19, EVENTS, 10, PLAIN, 50.479),
        (nn.spike_resnet18, CIFAR, 10, PLAIN, 44.657),
        (nn.spike_resnet18, CIFAR, 100, PLAIN, 44.842),
        (nn.vgg_snn, EVENTS, 10, PLAIN, 37.053),
        (nn.vgg13, TINY, 200, PLAIN, 38.018),
        # Not in Table 1, where another network's figure stands.
        (nn.vgg13, TINY, 200, BIASED, 38.030),
        (nn.glif_resnet18, CIFAR, 10, PLAIN, 45.171),
        (nn.spike_resnet18, CIFAR, 10, BIASED, 44.676),
        (nn.spike_resnet18, CIFAR, 100, BIASED, 44.861),
        (nn.vgg11, EVENTS, 10, STANDARDIZED, 36.889),
        (nn.vgg11, EVENTS, 10, nn.Spec(**{**vars(STANDARDIZED), "bias": True}), 36.900),
        (nn.vgg11_adaptive, EVENTS, 10, PLAIN, 37.872),
        (nn.vgg13_linear, TINY, 200, PLAIN, 141.548),
    ],
)
def test_every_network(build, input_shape, classes, spec, megabytes):
    model = nnx.eval_shape(lambda: build(input_shape, classes, spec=spec, rngs=nnx.Rngs(0)))
    assert analysis.parameter_megabytes(model) == pytest.approx(megabytes, abs=0.001)


def test_a_stem_of_128_channels_does_not_fit_table_1():
    model = nnx.eval_shape(lambda: nn.post_resnet19(CIFAR, 10, stem_width=128, spec=PLAIN, rngs=nnx.Rngs(0)))
    assert analysis.parameter_megabytes(model) == pytest.approx(50.750, abs=0.001)


def test_standardised_kernels_cost_what_floats_do_and_gains_are_not_counted():
    made = {
        kind: nn.vgg(
            (8, 8, 1),
            3,
            widths=(2, 3),
            spec=nn.Spec(neuron=nn.lif(), weights=kind, norm=nn.no_norm()),
            rngs=nnx.Rngs(0),
        )
        for kind in ("float", "standardized")
    }
    floats, standardized = (analysis.memory(made[kind]) for kind in ("float", "standardized"))
    assert standardized[:2] == floats[:2]
    assert standardized.other == floats.other + 4 * (2 + 3)
