"""The formats in which authors distribute datasets, one file each."""
