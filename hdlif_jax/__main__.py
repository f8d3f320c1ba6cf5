"""`python -m hdlif_jax` is `hdlif`."""

from hdlif_jax.commands.main import main

if __name__ == "__main__":
    main()
