"""Runnable modules: `python -m experiments.train`, `python -m experiments.evaluate`, ..."""
