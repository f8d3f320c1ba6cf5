"""Keeps the figures of a finished run for others to read: `python -m experiments.record RUN [--to DIR]`."""

from hdlif_jax.commands.record import main

if __name__ == "__main__":
    main()
