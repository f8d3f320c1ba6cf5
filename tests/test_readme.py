"""The README's examples run and its commands exist."""

import pathlib
import re
import warnings

import numpy as np

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
(LIBRARY,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(example):
    names = {}
    with warnings.catch_warnings():
        exec(compile(example, "README.md", "exec"), names)
    return names


def test_the_library_in_fifteen_lines():
    assert len([line for line in LIBRARY.splitlines() if line.strip()]) <= 15
    names = run(LIBRARY)
    assert names["logits"].shape == (4, 32, 10)
    assert names["learner"].step == 5
    assert np.isfinite(names["metrics"].loss)
    assert names["full"].learned.all()


def test_every_path_that_it_names_exists():
    root = pathlib.Path(__file__).parent.parent
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", README):
        assert (root / target.partition("#")[0]).exists(), target
    for module in re.findall(r"python -m ([\w.]+)", README):
        if module.startswith("experiments"):
            path = root / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
