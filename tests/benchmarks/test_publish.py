"""Publishing: results become pages and pictures of the repository."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmark_tables import in_another_process, run_with
from repository import ROOT

from benchmarks.harness import results as results_module
from benchmarks.harness.errors import BenchmarkError
from benchmarks.report import publish


@pytest.fixture
def output() -> Path:
    path = Path("source.json")
    results_module.write(run_with(a=0.1, b=2.0), path)
    return path


def test_what_is_published_is_what_the_committed_results_say() -> None:
    found = results_module.read(ROOT / publish.RESULTS)
    for page, text in publish.rewritten(found, ROOT).items():
        assert page.read_text("utf-8") == text, (
            "these figures are generated: run "
            f"python -m benchmarks.report.publish {publish.RESULTS}"
        )


def test_published_pages_show_pictures_that_exist() -> None:
    for name in publish.PAGES:
        page = ROOT / name
        for picture in re.findall(r"]\(([^)]*\.svg)\)", page.read_text("utf-8")):
            ElementTree.parse(page.parent / picture)


def test_publishing_rewrites_pages_and_draws_plots(output: Path) -> None:
    os.mkdir("docs")
    page = (
        "Before.\n<!-- benchmarks: {} -->\nBy hand.\n"
        "<!-- end of benchmarks -->\nAfter.\n"
    )
    Path("README.md").write_text(page.format("summary"))
    Path("docs/performance.md").write_text(page.format("all"))
    done = f"publish(Path({str(output)!r}), Path())"
    in_another_process(f"from benchmarks.report.publish import publish; {done}")
    copied = Path("benchmarks/results/results.json")
    assert copied.read_bytes() == output.read_bytes()
    # No plot: there are no sizes of arrays.
    assert os.listdir("docs/images/benchmarks") == []
    for name in ("README.md", "docs/performance.md"):
        text = Path(name).read_text("utf-8")
        assert text.startswith("Before.\n<!-- benchmarks: ")
        assert text.endswith("\n<!-- end of benchmarks -->\nAfter.\n")
        assert "By hand." not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!-- benchmarks: fast -->\n<!-- end of benchmarks -->\n", "named 'fast'"),
        ("<!-- benchmarks: summary -->\n", "without a line <!-- end of benchmarks"),
        ("<!-- end of benchmarks -->\n", "or the other way round"),
    ],
)
def test_a_page_with_wrong_markers_is_refused(
    output: Path, text: str, expected: str
) -> None:
    Path("README.md").write_text(text)
    with pytest.raises(BenchmarkError, match=r"README\.md") as refused:
        publish.publish(output, Path())
    assert expected in str(refused.value)
    assert sorted(os.listdir()) == ["README.md", str(output)]
    assert Path("README.md").read_text() == text


def test_what_holds_no_results_is_refused() -> None:
    Path("results.json").write_text('{"tables": [{"name": "opening"}]}')
    with pytest.raises(BenchmarkError, match=r"results\.json does not hold results"):
        publish.publish(Path("results.json"), ROOT)
