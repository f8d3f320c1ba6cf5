"""Columns of Table 2 before and after, against counts made on the network itself."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy.costs import deployment_costs
from hdlif_jax.deploy.fold import fold, rule
from hdlif_jax.deploy.graph import Linear
from hdlif_jax.nn.forms import in_form
from hdlif_jax.nn.intercept import intercept
from hdlif_jax.quantize import weight_quantizer
from tests.deploy.networks import conv_net, inputs_for, named

FORM = nn.Form(train=False, integer=False)


def counted_on_the_network(model, batches):
    """SOPs per input: every spike that a layer reads costs as many operations as weights carry it on."""
    network = in_form(model, FORM)
    for _, module in nnx.iter_modules(network):
        if isinstance(module, nn.Synapse):
            module.kernel[...] = weight_quantizer(module.weights)(module.kernel[...])
    total, num_inputs = 0, 0

    def choose(path, module):
        if not isinstance(module, nn.Synapse) or module.spikes is None:
            return None

        def run(call, x):
            nonlocal total
            mask = (np.asarray(module.kernel[...]) != 0).astype(np.float64)
            active = (np.asarray(x) != 0).astype(np.float64)
            if mask.ndim == 2:
                total += (active @ mask).sum()
            else:
                pad, stride = mask.shape[0] // 2, module.stride
                padded = np.pad(active, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
                height, width = (-(-size // stride) for size in active.shape[1:3])
                for row, column in np.ndindex(mask.shape[:2]):
                    patch = padded[:, row : row + stride * height : stride, column : column + stride * width : stride]
                    total += (patch[:, :height, :width] @ mask[row, column]).sum()
            return call(x)

        return run

    intercept(network, choose)
    for batch in batches:
        sequence = batch.ndim == 5
        num_inputs += batch.shape[1] if sequence else len(batch)
        state = None
        for t in range(model.num_steps):
            state, _ = network(state, network.encode(batch[t] if sequence else batch), nn.Tick(t))
    return total / num_inputs


def test_synaptic_operations_are_those_of_the_network():
    for model, sequence in (
        (conv_net(num_steps=2), False),
        (named(nn.vgg_snn, (16, 16, 2), neuron="lif", weights="binary", num_steps=2), True),
    ):
        batches = [inputs_for(model, 3, sequence=sequence), inputs_for(model, 2, seed=2, sequence=sequence)]
        before, after = deployment_costs(model, fold(model), batches)
        expected = counted_on_the_network(model, batches)
        assert expected > 1000
        assert before.sops_m * 1e6 == pytest.approx(expected, rel=1e-6)
        assert after.sops_m == before.sops_m


def test_columns_of_table_2_by_hand():
    model = conv_net(parallel=False, num_steps=4)
    before, after = deployment_costs(model, fold(model), [inputs_for(model)])
    convolutions = 9 * (2 * 6 * 6 + 6 * 8 + 8 * 8) + 6 * 8
    stem_and_head = 9 * 2 * 6 + 8 * 5 + 5
    assert before.parameters_mb * 1e6 == pytest.approx(4 * (convolutions + stem_and_head))
    assert after.parameters_mb * 1e6 == pytest.approx(0.375 * convolutions + 4 * stem_and_head)
    neurons = (8 * 8 * 6) + (8 * 8 * 6) + (8 * 8 * 6) + (4 * 4 * 8)
    assert before.nops_m == after.nops_m == pytest.approx(3 * 4 * neurons / 1e6)
    assert before.power_mj == pytest.approx(before.sops_m * 0.9e-3)
    assert after.power_mj == pytest.approx(before.power_mj / 8)  # 4-bit spikes


def test_spikes_of_one_height_have_no_discount_and_affine_maps_that_stay_are_operations():
    model = conv_net(neuron="lif")
    before, after = deployment_costs(model, fold(model), [inputs_for(model)])
    assert after.power_mj == pytest.approx(before.power_mj)
    mem_bn = conv_net(neuron="mem-bn", parallel=False)
    before, after = deployment_costs(mem_bn, fold(mem_bn), [inputs_for(mem_bn)])
    in_the_stream = 2 * (8 * 8 * 6)  # currents of the first neuron of each block
    assert after.nops_m - before.nops_m == pytest.approx(2 * 4 * in_the_stream / 1e6)


def test_kernels_of_own_rules_are_counted_or_refused():
    class Mixing(nnx.Module):
        def __init__(self):
            self.kernel = nnx.Param(jnp.eye(8))

        def __call__(self, x):
            return x @ self.kernel[...]

    @rule(Mixing)
    def fold_mixing(folding, module, name, source):
        kernel = {"kernel": module.kernel[...]}
        folding.function(name, source, "mixing", lambda fields, x: x @ fields["kernel"], kernel)

    model = nn.Sequential(
        nn.Linear(4, 8, rngs=nnx.Rngs(0)),
        Mixing(),
        nn.lif(),
        nn.Linear(8, 3, rngs=nnx.Rngs(0)),
        num_steps=2,
        input_shape=(4,),
    )
    with pytest.raises(TypeError, match=r"layers\.1 \(mixing\) has a kernel of shape \(8, 8\), whose operations"):
        deployment_costs(model, fold(model), [inputs_for(model)])

    @rule(Mixing)
    def fold_as_linear(folding, module, name, source):
        found = folding.synapse(source, module.kernel, "float")
        folding.emit(Linear(name, source, found.integer, found.reads), arrays=found.arrays)

    before, after = deployment_costs(model, fold(model), [inputs_for(model)])
    assert before.parameters_mb == after.parameters_mb == pytest.approx(4 * (4 * 8 + 8 + 64 + 8 * 3 + 3) / 1e6)


def test_nothing_to_count_on():
    model = conv_net()
    with pytest.raises(ValueError, match="there is no batch to count operations on"):
        deployment_costs(model, fold(model), [])
