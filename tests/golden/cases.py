"""Arrays of the earlier systems, made with their authors' code: finds the files, and notices what no test looks at.

Directory: `HDLIF_GOLDEN_DIR`, or `../shared/golden` beside the clone. One `.npz` a system, with keys `CASE.NAME`.
"""

import os
import pathlib

import numpy as np
import pytest

DIRECTORY = pathlib.Path(os.environ.get("HDLIF_GOLDEN_DIR", pathlib.Path(__file__).parents[3] / "shared" / "golden"))
ABSOLUTE, RELATIVE = 1e-5, 1e-4


class Case:
    """One case of a file.

    A test reads inputs by `case["current"]`, or as JAX sees them by `case.float32("current")`, and compares by
    `case.exact` or `case.close`; `case.done()` fails if an array was neither read nor compared.
    """

    def __init__(self, system: str, name: str, arrays: dict[str, np.ndarray]):
        self.system, self.name, self.arrays = system, name, arrays
        self._used: set[str] = set()

    def __repr__(self) -> str:
        return f"{self.system}-{self.name}"

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> np.ndarray:
        self._used.add(name)
        return self.arrays[name]

    def float32(self, name: str) -> np.ndarray:
        """An input as networks see it."""
        return np.float32(self[name])

    def exact(self, name: str, value) -> None:
        """Compares spikes and other integers."""
        np.testing.assert_array_equal(np.asarray(value), self[name], err_msg=f"{self}: {name}")

    def close(self, name: str, value) -> None:
        """Compares floats to 1e-5 + 1e-4 · |x|."""
        value = np.asarray(value)
        assert value.shape == self[name].shape or value.size == self[name].size == 1, f"{self}: {name} {value.shape}"
        expected = self[name].reshape(value.shape)
        np.testing.assert_allclose(value, expected, rtol=RELATIVE, atol=ABSOLUTE, err_msg=f"{self}: {name}")

    def done(self) -> None:
        """Fails where an array of the case was not looked at."""
        left = sorted(self.arrays.keys() - self._used)
        assert not left, f"{self}: nothing looks at {', '.join(left)}"


def cases(system: str) -> list:
    """The cases of a system as parameters of a test; one that is skipped where there are no files."""
    file = DIRECTORY / f"{system}.npz"
    if not file.is_file():
        reason = f"no {file.name} in {DIRECTORY}; set HDLIF_GOLDEN_DIR to the directory of golden arrays"
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))]
    by_case: dict[str, dict[str, np.ndarray]] = {}
    with np.load(file) as arrays:
        for key in arrays.files:
            name, _, array = key.partition(".")
            by_case.setdefault(name, {})[array] = arrays[key]
    return [pytest.param(Case(system, name, arrays), id=name) for name, arrays in sorted(by_case.items())]


def files() -> list[str]:
    """The systems that there are files of."""
    return sorted(file.stem for file in DIRECTORY.glob("*.npz"))
