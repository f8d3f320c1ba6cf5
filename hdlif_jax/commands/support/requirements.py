"""What the installed package says it needs, and what of it is there."""

import importlib.metadata
import re
from typing import NamedTuple

LINE = re.compile(r"([\w.-]+)(?:[><=]=([\d.]+))?(?:; extra == ['\"]([\w-]+)['\"])?")


class Requirement(NamedTuple):
    """A package that is needed.

    Attributes:
      package: its name.
      least: the least version; None for any.
      extra: of the package, which needs it; None for the core.
    """

    package: str
    least: str | None = None
    extra: str | None = None

    def complaint(self) -> str:
        """What is wrong with what is installed; empty where nothing is."""
        found = installed(self.package)
        if found is None:
            return "not installed"
        if self.least is not None and _numbers(found) < _numbers(self.least):
            return f"{found} is older than {self.least}"
        return ""


def requirements() -> list[Requirement]:
    """All of the core and of the extras, by name; none where the package runs without being installed.

    Raises:
      ValueError: the package's own description names one in a form that this does not read.
    """
    try:
        lines = importlib.metadata.requires("hdlif_jax") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for line in lines:
        parts = LINE.fullmatch(line)
        if parts is None:
            raise ValueError(f"the requirement {line!r} of hdlif_jax is of an unknown form")
        found.append(Requirement(*parts.groups()))
    return sorted(found, key=lambda requirement: requirement.package)


def installed(package: str) -> str | None:
    """Version of a package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)][:3]
