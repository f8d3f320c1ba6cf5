"""Inference needs the memory of one step, also where its steps are unrolled."""

import jax
import pytest
from flax import nnx

from hdlif_jax import nn, rollout
from tests.conftest import spec_of


@pytest.mark.parametrize("neuron", ["hd-lif", "lif"])
def test_the_memory_of_an_inference_does_not_grow_with_time(neuron):
    x = jax.ShapeDtypeStruct((32, 16, 16, 2), "float32")

    def temporaries(num_steps):
        spec = spec_of(neuron=neuron, num_steps=num_steps)
        model = nn.conv_net((16, 16, 2), 3, widths=(12, 12), spec=spec, rngs=nnx.Rngs(0))
        network, variables = nn.inference_form(model), nn.variables_of(model)
        compiled = jax.jit(lambda variables, x: rollout.rollout(network, variables, x)).lower(variables, x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few = temporaries(2)
    for num_steps in (4, 8, 9):  # 8 are unrolled and 9 are not
        assert temporaries(num_steps) < 1.5 * few
