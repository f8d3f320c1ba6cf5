"""Predicts with an artifact: `python -m experiments.infer ARTIFACT INPUT`. Needs jax, numpy; Pillow for pictures."""

from hdlif_jax.commands.infer import main

if __name__ == "__main__":
    main()
