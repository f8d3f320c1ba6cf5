"""The pages of the documentation and the programs on them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = ("_build", "_made", "api", "results", "tutorials", "project", "jupyter_execute")
PAGES = {
    str(path.relative_to(DOCS).with_suffix("")): path
    for path in sorted(DOCS.rglob("*.md"))
    if path.relative_to(DOCS).parts[0] not in MADE
}
OTHERS = ("snntorch", "spikingjelly", "spyx")


def blocks(page, language):
    """The fenced blocks of a page, by the language that they are marked with."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page].read_text(), re.DOTALL | re.MULTILINE)


def programs(page):
    """The Python of a page that is ours."""
    return [block for block in blocks(page, "python") if not is_of_others(block)]


def is_of_others(block):
    imports = re.search(rf"^(import|from) ({'|'.join(OTHERS)})", block, re.MULTILINE)
    return imports is not None or "from_layers(net" in block  # net is theirs
