"""The README's example runs and its commands exist."""

import pathlib
import re
import warnings

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


def test_the_python_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    names = {}
    with warnings.catch_warnings():
        exec(compile(example, "README.md", "exec"), names)
    assert names["logits"].shape == (4, 32, 10)
    assert names["online"].learned.sum() == 1
    assert names["full"].learned.all()


def test_every_path_that_it_names_exists():
    root = pathlib.Path(__file__).parent.parent
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", README):
        assert (root / target).exists(), target
    for module in re.findall(r"python -m ([\w.]+)", README):
        if module.startswith("experiments"):
            assert (root / (module.replace(".", "/") + ".py")).exists(), module
