"""Compares the gradients of neuron models: `python -m experiments.separability [--models lif ...] [--out DIR]`."""

from hdlif_jax.commands.separability import main

if __name__ == "__main__":
    main()
