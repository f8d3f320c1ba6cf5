"""Norms of the gradient of the first block's first kernel at initialisation, by row of Table 2 and time-step t*.

`python experiments/results/table2-cpu/gradient_norms.py [DATA_DIR]`; one batch of 128 images of CIFAR-100.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import hdlif_jax as hd
from hdlif_jax.commands.make import make_model, make_normalize
from hdlif_jax.commands.studies import STUDIES
from hdlif_jax.commands.studies.study import with_fields
from hdlif_jax.commands.support.runs import load_dataset

STUDY = STUDIES["table2"]


def norms(row: str, seed: int) -> list[float]:
    """Of a row's network with the kernels of a seed: after one step, and after all."""
    config = with_fields(STUDY.config(row, "cpu", seed), {"data.dir": sys.argv[1]} if sys.argv[1:] else {})
    dataset = load_dataset(config)
    split = dataset.train.read(np.arange(config.batch_size))
    inputs = make_normalize(config, dataset)(jnp.asarray(split.inputs))
    batch = hd.learning.Batch(inputs, jnp.asarray(split.labels))
    model = make_model(config.model, batch.inputs.shape[1:], len(dataset.class_names), seed)
    network, loss = hd.nn.training_form(model), hd.losses.cross_entropy(config.learning.label_smoothing)

    @jax.jit
    def gradient(variables: hd.nn.Variables, t: jax.Array) -> jax.Array:
        grads = hd.learning.gradient_at_steps(network, loss, variables, batch, t[None]).grads
        return jnp.linalg.norm(grads["blocks"][0]["conv1"]["kernel"])

    return [float(gradient(hd.nn.variables_of(model), jnp.int32(t))) for t in (0, config.model.num_steps - 1)]


for row in STUDY.variants:
    for seed in (0, 1, 2):
        first, last = norms(row, seed)
        print(f"{row}, seed {seed}: {first:.2f} after one step, {last:.2f} after all", flush=True)
