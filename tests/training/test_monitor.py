import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import learning, nn
from hdlif_jax.neurons import surrogates
from hdlif_jax.training.monitor import firing_problems, make_firing_rates


def test_names_silent_and_saturated_layers_and_says_what_to_do():
    problems = firing_problems({"a": 0.0, "b": 0.3, "c": 1.0, "d": float("nan")})
    assert [problem.split()[0] for problem in problems] == ["a", "c", "d"]
    assert "a never fires" in problems[0]
    assert "lower its threshold" in problems[0]
    assert "fires everywhere" in problems[1]


def test_noise_in_place_of_spikes_is_no_firing():
    """ASGL's neurons hand on a smooth step at times, which is hardly ever 0, also where no neuron fires."""

    def rates(noise, scale):
        neuron = nn.lif(surrogates.smooth_step(noise=noise), reset="hard")
        model = nn.mlp((4,), 3, widths=(8, 8), spec=nn.Spec(num_steps=3, neuron=neuron), rngs=nnx.Rngs(0))
        variables = nn.variables_of(model)
        variables = variables._replace(
            params=jax.tree.map(lambda leaf: scale * leaf if leaf.ndim > 1 else leaf, variables.params)
        )
        run = jax.jit(make_firing_rates(model, learning.stbp(), lambda inputs: inputs, 0))
        return list(run(variables, jax.random.normal(jax.random.key(1), (32, 4))).values())

    np.testing.assert_array_equal(rates(0.5, 1.0), rates(0.0, 1.0))
    assert min(rates(0.5, 1.0)) > 0
    np.testing.assert_array_equal(rates(0.5, 0.0), jnp.zeros(2))
