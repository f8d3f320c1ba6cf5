import jax
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn import Tick
from tests.nn.test_resnet import check_gradients, quick_model

LIF = nn.lif(decay=1 - 1 / 1.1, threshold=1.0, height=1.0)


def small(spec):
    return nn.SpikeResNet((6, 5, 2), 3, stage_sizes=(1, 1), widths=(3, 4), spec=spec, rngs=nnx.Rngs(0))


def test_a_step_is_blocks_whose_shortcuts_take_the_spikes():
    """The same composition written out."""
    model = small(nn.Spec(2, LIF, weights="float", bias=True))
    x = 3 * jax.random.normal(jax.random.key(1), (2, 6, 5, 2))
    state, logits = model(None, model.encode(x), Tick(0))

    def fire(cell, current):
        return cell(None, current, Tick(0))[1]

    current = model.stem(x)
    for block in model.blocks:
        spikes = fire(block.neuron1, block.norm1(current))
        hidden = fire(block.neuron2, block.norm2(block.conv1(spikes)))
        current = block.conv2(hidden) + (spikes if block.shortcut is None else block.shortcut(spikes))
    averages = np.asarray(fire(model.neuron, model.norm(current))).mean((1, 2))
    np.testing.assert_allclose(logits, averages @ np.asarray(model.head.kernel[...]), atol=1e-5)
    assert len(jax.tree.leaves(state)) == 5
    assert [block.shortcut is None for block in model.blocks] == [True, False]


def test_biases_are_in_the_blocks_and_not_in_the_stem():
    model = nnx.eval_shape(lambda: nn.spike_resnet18((32, 32, 3), 10, rngs=nnx.Rngs(0)))
    assert model.stem.bias is None
    convolutions = [conv for block in model.blocks for conv in (block.conv1, block.conv2, block.shortcut) if conv]
    assert len(convolutions) == 8 * 2 + 3
    assert all(conv.bias is not None for conv in convolutions)
    assert model.head.spikes.pooled == 4 * 4


def test_dropout_stands_before_the_second_convolution_alone():
    model = small(nn.Spec(2, LIF, dropout=0.3))
    rates = [module.rate for _, module in nn.modules(model) if isinstance(module, nn.Dropout)]
    assert rates == [0.3, 0.3]
    assert all(block.dropout2 is not None for block in model.blocks)


def test_shapes_state_and_gradients():
    spec = nn.Spec(num_steps=2, neuron=LIF, weights="float", bias=True)
    check_gradients(quick_model(lambda: small(spec)))


@pytest.mark.parametrize("options", [{"attention": "seca-1"}, {"residual_norm": nn.no_norm()}, {"identity_norm": True}])
def test_a_mix_that_does_not_exist_is_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}=.* has no place in a pre-activation ResNet on spikes"):
        small(nn.Spec(**options))
