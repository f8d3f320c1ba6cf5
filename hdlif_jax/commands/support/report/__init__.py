"""One interactive page about a run."""
