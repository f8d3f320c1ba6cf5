"""Says what is installed, what works and what is missing: `python -m experiments.doctor [--data.dir DIR]`."""

from hdlif_jax.commands.doctor import main

if __name__ == "__main__":
    main()
