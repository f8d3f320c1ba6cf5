"""`hdlif doctor`: what works, what is missing, and no traceback whatever is broken."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tomllib

import pytest

from hdlif_jax.commands import doctor
from hdlif_jax.commands.support import pages, requirements
from hdlif_jax.commands.support.requirements import Requirement

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [
    "jax>=0.10.2",
    "flax>=99.1",
    "numpy",
    'tyro>=1.0; extra == "commands"',
    "nothing-of-this-name==1; extra == 'own'",
]


@pytest.fixture
def described(monkeypatch):
    """The package's own description has `LINES`."""
    monkeypatch.setattr(importlib.metadata, "requires", lambda package: LINES)


def test_it_says_what_works_and_what_is_there(monkeypatch, tmp_path, capsys):
    (tmp_path / "cifar100" / "3.0.2").mkdir(parents=True)
    (tmp_path / "cifar100" / "3.0.2" / "dataset_info.json").touch()
    monkeypatch.setattr(doctor, "LAYER", (1, 8, 8, 20))  # small, the speed is not looked at
    monkeypatch.setattr(sys, "argv", ["doctor", "--data.dir", str(tmp_path)])
    doctor.main()
    output = capsys.readouterr().out
    for version in (importlib.metadata.version("jax"), importlib.metadata.version("orbax-checkpoint")):
        assert version in output
    for words in ("a training step of a small network: loss", "20 channels: float32", "times as fast", "cpu ("):
        assert words in output
    assert "  cifar100          3.0.2\n" in output
    assert "not there: mnist" in output
    assert "fails" not in output
    assert output.endswith("the core works\n")
    assert max(map(len, output.replace(str(tmp_path), "").splitlines())) <= 80


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('broken on purpose\\nsecond line')", "fails: RuntimeError: broken on purpose\n"),
        ("raise ImportError", "fails: ImportError: no message\n"),
        ("", "fails: AttributeError: "),  # a jax without anything
    ],
)
def test_a_broken_jax_is_told_and_the_rest_besides(code, said, tmp_path):
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    result = subprocess.run(
        [sys.executable, "-m", "hdlif_jax", "doctor"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr == "error: the core does not work; what fails is said above\n"
    assert said in result.stdout
    assert result.stdout.count("fails: ") == 1
    for told in ("jax               ", "datasets in data\n  there is no such folder\n", "not there: mnist", "extras\n"):
        assert told in result.stdout


def test_what_is_missing_or_too_old_is_named_with_what_brings_it(described, capsys):
    assert doctor.told("versions", doctor.versions)
    assert doctor.told("extras", doctor.extras)
    output = capsys.readouterr().out
    assert f"  flax              {importlib.metadata.version('flax')} is older than 99.1\n" in output
    assert "  commands          complete\n" in output
    assert "  own               lacks nothing-of-this-name\n      python -m pip install 'hdlif_jax[own]'\n" in output


def test_a_package_that_is_not_installed_is_no_trouble(monkeypatch, capsys):
    def unknown(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "requires", unknown)
    monkeypatch.setattr(importlib.metadata, "version", unknown)
    assert doctor.told("versions", doctor.versions)
    assert doctor.told("extras", doctor.extras)
    assert "not installed, so what it needs is not known" in capsys.readouterr().out


def test_every_requirement_of_the_project_can_be_read(monkeypatch):
    lines = [*PROJECT["dependencies"]]
    for extra, packages in PROJECT["optional-dependencies"].items():
        lines += [f"{line}; extra == '{extra}'" for line in packages if not line.startswith("hdlif_jax[")]
    monkeypatch.setattr(importlib.metadata, "requires", lambda package: lines)
    found = requirements.requirements()
    assert len(found) == len(lines)
    assert Requirement("jax", "0.10.2") in found
    assert {requirement.extra for requirement in found} - {None} <= PROJECT["optional-dependencies"].keys()


def test_a_requirement_of_another_form_is_told(monkeypatch, capsys):
    monkeypatch.setattr(importlib.metadata, "requires", lambda package: ["jax @ file:///x"])
    assert not doctor.told("extras", doctor.extras)
    assert "fails: ValueError: the requirement 'jax @ file:///x' of hdlif_jax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("modes", "tunables", "expected"),
    [
        ("[always] madvise never", "", True),
        ("always [madvise] never", "", False),
        ("always [madvise] never", "glibc.malloc.check=0:glibc.malloc.hugetlb=1", True),
        ("always [madvise] never", "glibc.malloc.hugetlb=2", True),
        ("always [madvise] never", "glibc.malloc.hugetlb=10", False),
        ("always madvise [never]", "glibc.malloc.hugetlb=1", None),
        (None, "glibc.malloc.hugetlb=1", None),  # no Linux
    ],
)
def test_whether_memory_is_in_large_pages(modes, tunables, expected, tmp_path, monkeypatch, capsys):
    file = tmp_path / "enabled"
    if modes is not None:
        file.write_text(f"{modes}\n")
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    assert pages.large_pages(file) is expected
    monkeypatch.setattr(doctor, "large_pages", lambda: pages.large_pages(file))
    assert doctor.told("devices", doctor.devices)
    output = " ".join(capsys.readouterr().out.split())
    assert ("export GLIBC_TUNABLES=glibc.malloc.hugetlb=1" in output) == (expected is False)
