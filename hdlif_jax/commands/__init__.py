"""The top floor: what runs from a command line, and the names that its values go by."""
