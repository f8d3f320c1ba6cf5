"""Costs of a preset or of a trained run: `python -m experiments.costs PRESET|RUN [--data ...] [--out DIR]`."""

from hdlif_jax.commands.costs import main

if __name__ == "__main__":
    main()
