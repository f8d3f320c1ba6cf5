"""What leaves the package warns first, where it is called, and leaves when it was said to."""

import inspect
import pathlib
import re

import pytest

import hdlif_jax
from hdlif_jax.deprecation import deprecated, renamed_arguments

FILES = sorted(pathlib.Path(hdlif_jax.__file__).parent.rglob("*.py"))


@deprecated(use="double()", removed_in="9.1.0")
def twice(x: int) -> int:
    """Two times x."""
    return 2 * x


@renamed_arguments(removed_in="9.1.0", width="widths", seed="key")
def network(shape, *, widths=(1,), key=0):
    return shape, widths, key


def test_a_function_that_leaves_says_what_to_use_where_it_is_called():
    with pytest.warns(DeprecationWarning, match="twice") as caught:
        assert twice(3) == 6
    (warning,) = caught
    assert str(warning.message) == "twice is deprecated and goes with version 9.1.0; use double()"
    assert warning.filename == __file__
    assert (twice.__name__, twice.__doc__, list(inspect.signature(twice).parameters)) == (
        "twice",
        "Two times x.",
        ["x"],
    )


def test_old_names_of_arguments_are_taken_with_a_warning_each():
    with pytest.warns(DeprecationWarning, match="of network") as caught:
        assert network(4, width=(2,), seed=7) == (4, (2,), 7)
    assert sorted(str(warning.message) for warning in caught) == [
        "seed of network is deprecated and goes with version 9.1.0; write key",
        "width of network is deprecated and goes with version 9.1.0; write widths",
    ]
    assert {warning.filename for warning in caught} == {__file__}
    assert network(4, widths=(2,)) == (4, (2,), 0)  # the new names say nothing: warnings are errors here


def test_both_names_of_an_argument_are_refused():
    with pytest.raises(TypeError, match="network got widths and width, which is its old name; give widths alone"):
        network(4, widths=(2,), width=(2,))


@pytest.mark.parametrize("version", ["soon", "0.4", "0.4.0.dev1", ""])
def test_a_version_is_asked_for(version):
    for make in (lambda: deprecated(use="x", removed_in=version), lambda: renamed_arguments(removed_in=version, a="b")):
        with pytest.raises(ValueError, match=r"is no version; give one such as '0.4.0'"):
            make()


def numbers(version):
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def test_what_was_to_be_gone_is_gone():
    """Whoever raises the version removes what was announced for it."""
    late = {
        file.name
        for file in FILES
        if file.name != "deprecation.py"
        for version in re.findall(r"removed_in=[\"']([\d.]+)", file.read_text())
        if numbers(version) <= numbers(hdlif_jax.__version__)
    }
    assert late == set()


def test_the_example_of_contributing():
    text = (pathlib.Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "@deprecated" in block)
    names = {}
    exec(example, names)
    with pytest.warns(DeprecationWarning, match="total is deprecated and goes with version 9.0.0; use sum"):
        assert names["total"]([1, 2]) == 3
    with pytest.warns(DeprecationWarning, match="width of layers is .* 9.0.0; write widths"):
        assert names["layers"](width=(4, 5)) == 2
