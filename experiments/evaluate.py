"""Evaluates a checkpoint of a run: `python -m experiments.evaluate DIR [--step last|best|N]`."""

from hdlif_jax.commands.evaluate import main

if __name__ == "__main__":
    main()
