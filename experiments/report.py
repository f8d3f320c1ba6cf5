"""One interactive page about a run: `python -m experiments.report RUN [--out FILE]`."""

from hdlif_jax.commands.report import main

if __name__ == "__main__":
    main()
