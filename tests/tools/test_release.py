"""Facts that a release states: version, citation, classifiers, issue forms."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml
from repository import ROOT

import sharray as sh

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_the_citation_is_complete_and_of_the_last_version() -> None:
    citation = read_yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["license"]
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[(\d.*?)\]", changes, re.MULTILINE)
    assert citation["version"] == versions[0]


def test_a_version_that_is_not_in_development_is_the_one_to_cite() -> None:
    cited = read_yaml("CITATION.cff")["version"]
    assert sh.__version__ == cited or ".dev" in sh.__version__


def test_ci_runs_on_every_python_that_a_classifier_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={named[0]}"
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    assert set(named) <= set(jobs["tests"]["strategy"]["matrix"]["python"])


def test_forms_of_issues_have_what_the_site_demands() -> None:
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in FORMS.iterdir()}
    assert sorted(forms) == ["bug_report", "feature_request"]
    for form in forms.values():
        assert {"name", "description", "body"} <= set(form)
    labels = [part["attributes"].get("label") for part in forms["bug_report"]["body"]]
    assert "Output of `sharray doctor --json`" in labels
