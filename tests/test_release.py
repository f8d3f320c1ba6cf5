"""What a release says of itself in several places says the same in all."""

import datetime
import pathlib
import re

import yaml

import hdlif_jax

ROOT = pathlib.Path(__file__).parent.parent
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def releases():
    """(version, date, section) of CHANGELOG.md, the newest first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)


def test_the_citation_is_of_this_version_and_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format demands
    version, date, _ = releases()[0]
    assert (citation["version"], citation["date-released"]) == (version, date)
    assert citation["authors"] == [{"name": "The hdlif_jax developers"}]
    (paper,) = citation["references"]
    assert "2410.07547" in paper["url"]
    assert "Hybrid-Driven LIF" in paper["title"]


def test_the_changelog_is_by_release_and_kind():
    assert releases()[0][0] == hdlif_jax.__version__
    dates = [datetime.date.fromisoformat(date) for _, date, _ in releases()]
    assert dates == sorted(dates, reverse=True)
    for _, _, section in releases():
        kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert set(kinds) <= KINDS
        assert len(kinds) == len(set(kinds))
    assert (ROOT / "CHANGELOG.md").read_text().count("\n## [Unreleased]\n") == 1


def test_forms_and_hooks_can_be_read_and_need_no_network():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 3
    for form in forms:
        fields = yaml.safe_load(form.read_text())
        if form.name != "config.yml":
            assert {"name", "description", "body"} <= fields.keys()
            ids = [part["id"] for part in fields["body"]]
            assert len(ids) == len(set(ids))
            assert all(part["attributes"]["label"] for part in fields["body"])
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    of_all = [hook for repository in hooks["repos"] for hook in repository["hooks"]]
    assert {hook["language"] for hook in of_all} == {"system"}
    asked = {stage for hook in of_all for stage in hook.get("stages", hooks["default_stages"])}
    assert asked == set(hooks["default_install_hook_types"])  # else `pre-commit install` leaves some out
