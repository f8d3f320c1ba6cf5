"""Files and folders that belong to a system or a program, and to no dataset."""

SYSTEM = frozenset(
    {"__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "lost+found", "@eadir"}
    | {"system volume information"}
)


def is_hidden(name: str) -> bool:
    """Whether a path inside a dataset is of a system: what every walk over folders and archives leaves out.

    That is what begins with a dot, such as `.ipynb_checkpoints`, `.DS_Store` and macOS's `._` twins, and the folders
    and files that macOS, Windows, Linux, network drives and Python leave behind. All parts of the path count.

    Args:
      name: relative to the folder or archive that is walked, with slashes.
    """
    parts = name.replace("\\", "/").split("/")
    return any((part.startswith(".") and part not in (".", "..")) or part.lower() in SYSTEM for part in parts)
