"""The programs of other libraries on the pages for those who come from them, and the names in their tables.

Ours run with all others (`test_programs.py`); theirs need snnTorch, SpikingJelly and spyx (extra interop).
"""

import importlib
import importlib.util
import pathlib
import re

import jax
import numpy as np
import pytest

from tests.docs.blocks import PAGES, blocks, is_of_others

# What a first word in a table stands for; words without a dot are options of what stands above them.
SNNTORCH = {"snn": "snntorch", "snntorch": "snntorch"}
PARTS = (
    "neuron",
    "surrogate",
    "layer",
    "functional",
    "encoding",
    "learning",
    "monitor",
    "op_counter",
    "model",
    "nir_exchange",
)
SPIKINGJELLY = {part: f"spikingjelly.activation_based.{part}" for part in PARTS} | {"spikingjelly": "spikingjelly"}
PEERS = {"snntorch": SNNTORCH, "spikingjelly": SPIKINGJELLY, "spyx": {"spyx": "spyx"}}


def snntorch_outputs(names):
    names["utils"].reset(names["net"])
    return names["torch"].stack([names["net"](names["x"])[0] for _ in range(4)]).detach()


def spikingjelly_outputs(names):
    names["functional"].reset_net(names["net"])
    return names["net"](names["x"].expand(4, -1, -1)).detach()


OUTPUTS = {"snntorch": snntorch_outputs, "spikingjelly": spikingjelly_outputs}


def named(page):
    """Their names, from the second column of the table."""
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|", PAGES[f"coming_from/{page}"].read_text(), re.MULTILINE)
    return [
        name
        for row in rows
        for name in re.findall(r"`([\w.]+)`", row)
        if name.split(".")[0] in PEERS[page] and "." in name
    ]


def is_there(path):
    """Whether a dotted name leads somewhere; what needs packages that are not here is looked for in the source."""
    *way, last = path.split(".")
    try:
        value = importlib.import_module(way[0])
        for place, part in enumerate(way[1:], 2):
            if not hasattr(value, part):
                importlib.import_module(".".join(way[:place]))
            value = getattr(value, part)
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] == way[0]:
            return False
        files = pathlib.Path(importlib.util.find_spec(".".join(way)).origin).parent.rglob("*.py")
        return any(re.search(rf"^(def|class) {last}\b", file.read_text(), re.MULTILINE) for file in files)
    return hasattr(value, last) or importlib.util.find_spec(path) is not None


@pytest.mark.parametrize("page", PEERS)
def test_a_page_has_one_program_of_theirs_and_ours_of_the_same_length(page):
    data, theirs, ours, *rest = blocks(f"coming_from/{page}", "python")
    assert all(map(is_of_others, rest))
    assert "numpy" in data
    assert is_of_others(theirs)
    assert not is_of_others(ours)

    def lines(text):
        return len([line for line in text.splitlines() if line and not re.match("(import|from) ", line)])

    assert lines(ours) <= 10
    assert lines(theirs) <= 15
    assert len(named(page)) > 8
    (pair,) = PAGES[f"coming_from/{page}"].read_text().split('<div class="side-by-side">')[1:]
    assert theirs in pair
    assert ours in pair


@pytest.mark.slow
@pytest.mark.parametrize("page", PEERS)
@pytest.mark.filterwarnings("ignore")
def test_their_names_and_their_program(page):
    pytest.importorskip(page, reason=f"pip install {page}, or the extra interop")
    for name in named(page):
        first, _, rest = name.partition(".")
        assert is_there(f"{PEERS[page][first]}.{rest}"), name
    names = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        data, theirs, _, *rest = blocks(f"coming_from/{page}", "python")
        exec("\n".join([data, theirs, *rest]), names)
    assert names["accuracy"] > 0.8
    if rest:
        np.testing.assert_allclose(names["outputs"], OUTPUTS[page](names), atol=1e-4)
