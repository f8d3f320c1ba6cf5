"""Prints what completes words behind `hdlif` in a shell: `python -m experiments.completion bash|zsh|fish`."""

from hdlif_jax.commands.completion import main

if __name__ == "__main__":
    main()
