"""The datasets, one file each: what is known of it, and how its authors' files are read."""
