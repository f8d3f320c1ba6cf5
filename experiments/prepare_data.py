"""Prepares a dataset for training: `python -m experiments.prepare_data NAME --from ORIGINAL_FILES --to DIR`."""

from hdlif_jax.commands.prepare_data import main

if __name__ == "__main__":
    main()
