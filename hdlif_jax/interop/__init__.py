"""Ways in and out: weights of PyTorch networks, and graphs of other frameworks."""
