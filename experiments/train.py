"""Trains a spiking network: `python -m experiments.train [PRESET] [--field.name value ...]`."""

from hdlif_jax.commands.train import main

if __name__ == "__main__":
    main()
