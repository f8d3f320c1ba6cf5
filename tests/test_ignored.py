"""What the README's commands leave in a clone is ignored by git, and the wheel has the package alone."""

import pathlib
import re
import shutil
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).parent.parent


def outputs():
    """Names that the README's commands write to in the current directory."""
    text = (ROOT / "README.md").read_text()
    patterns = (r"experiments\.deploy \S+ ([a-z][\w-]*)", r"--to ([a-z]\w*)")
    found = {name for pattern in patterns for name in re.findall(pattern, text)}
    return found | {"runs"} | set(re.findall(r'save_weights\("([\w.-]+)"', text))


def ignored(clone, name):
    """Whether a folder of this name, or a file if it has a suffix, is ignored in a clone, which is made here."""
    if not (clone / ".git").exists():
        subprocess.run(["git", "init", "-q", clone], check=True)
        shutil.copy(ROOT / ".gitignore", clone)
    path = clone / name if pathlib.Path(name).suffix else clone / name / "file"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return subprocess.run(["git", "-C", clone, "check-ignore", "-q", path], check=False).returncode == 0


def test_what_the_readme_writes_is_ignored(tmp_path):
    names = outputs()
    assert {"digits-artifact", "data", "runs"} <= names
    for name in names:
        assert ignored(tmp_path, name), name


def test_the_wheel_has_the_package_alone():
    """`.ci/run` looks into the wheel itself."""
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert hatch["wheel"] == {"packages": ["hdlif_jax"]}


def test_the_runs_behind_a_table_are_in_the_clone(tmp_path):
    """Whoever reads `experiments/results` finds the runs whose figures stand there; git ignores none of them."""
    results = ROOT / "experiments" / "results"
    named = {
        readme.parent / folder
        for readme in results.glob("*/README.md")
        for folder in re.findall(r"`(runs|two-epochs)/", readme.read_text())
    }
    assert named
    for folder in named:
        assert list(folder.glob("*/seed-*/summary.json")), folder
        assert not ignored(tmp_path, folder.relative_to(ROOT)), folder
