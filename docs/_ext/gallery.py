"""The pictures of the gallery, made by the programs that stand on its page."""

import pathlib
import re
from collections.abc import Iterator

from matplotlib.figure import Figure

PAGE = pathlib.Path(__file__).parents[1] / "gallery.md"
# A program, and the picture right below it.
PART = re.compile(r"^```python\n(.*?)^```\n\n!\[[^]]*\]\(_made/gallery/(\w+)\.png\)", re.DOTALL | re.MULTILINE)


def parts() -> list[tuple[str, str]]:
    """Each program with the name of its picture."""
    return PART.findall(PAGE.read_text())


def figures() -> Iterator[tuple[str, Figure]]:
    """Runs the page from its beginning; gives each picture's name and figure.

    Raises:
      ValueError: a program that leaves no figure of its own.
    """
    names: dict[str, object] = {}
    for program, name in parts():
        names.pop("figure", None)
        exec(compile(program, f"{PAGE.name}, {name}", "exec"), names)
        figure = names.get("figure")
        if not isinstance(figure, Figure):
            raise ValueError(f"the program above {name} in {PAGE} leaves no figure")
        yield name, figure


def write(folder: pathlib.Path) -> None:
    """Draws all of them where one is not there yet, or older than the page."""
    files = [folder / f"{name}.png" for _, name in parts()]
    if all(file.exists() and file.stat().st_mtime > PAGE.stat().st_mtime for file in files):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures():
        figure.savefig(folder / f"{name}.png", dpi=100)
