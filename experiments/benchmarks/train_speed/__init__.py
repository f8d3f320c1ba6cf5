"""How fast the trainer learns, beside the same network in PyTorch and in SpikingJelly; `__main__` is the command."""
