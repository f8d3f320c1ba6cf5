"""Turns a finished run into an artifact and proves it: `python -m experiments.deploy RUN OUT`."""

from hdlif_jax.commands.deploy import main

if __name__ == "__main__":
    main()
