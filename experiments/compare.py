"""Compares finished runs: `python -m experiments.compare RUN RUN ...`."""

from hdlif_jax.commands.compare import main

if __name__ == "__main__":
    main()
