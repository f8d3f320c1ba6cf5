"""Scripts that measure, print a table and write JSON to `results/`; they assert nothing."""
