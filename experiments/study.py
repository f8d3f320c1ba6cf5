"""Runs a study: `python -m experiments.study NAME|FILE [--seeds 0 1 2] [--field.name value ...]`."""

from hdlif_jax.commands.study import main

if __name__ == "__main__":
    main()
