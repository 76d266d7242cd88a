"""The pages: who wins, which rows the README has, and the plots."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmark_tables import in_another_process, row_of, run_of, run_with, table_of
from repository import ROOT

from benchmarks.harness import results as results_module
from benchmarks.harness.measuring import FULL, Contender
from benchmarks.harness.quantities import quantity
from benchmarks.harness.tables import Table
from benchmarks.passing.calls import ARGUMENT, BOTH, table_name
from benchmarks.report import markdown, publish
from benchmarks.report.comparison import worst_of_each_group


@pytest.mark.parametrize(
    ("ours", "peer", "expected"),
    [
        (1.0, 20.0, ["**1 s**", "usual: 99 s, 99x slower", "peer: 20 s, 20x slower"]),
        (3.0, 2.0, ["3 s", "usual: 99 s, 33x slower", "peer: **2 s**, 1.5x faster"]),
        (
            1.02,
            1.0,
            ["**1.02 s**", "usual: 99 s, 97x slower", "peer: **1 s**, the same"],
        ),
        (200.0, 150.0, ["200 s", "usual: **99 s**, 2x faster", "none better"]),
    ],
)
def test_the_overview_shows_who_wins(
    ours: float, peer: float, expected: list[str]
) -> None:
    table = table_of(ours=ours, usual=99.0, peer=peer, floor=0.5, missing=None)
    table.compare("to do it", "ours", group="it", floors=("floor",))
    text = markdown.overview(run_of(table), ".")
    assert row_of(text, "to do it") == ["to do it", *expected, "floor: 500 ms"]
    details = markdown.every_table(run_of(table), ".")
    bold = [f"| **{name}** |" in details for name in ("ours", "usual", "peer")]
    assert bold == ["**" in cell for cell in expected]


def test_without_the_usual_way_the_best_peer_is_still_there() -> None:
    table = table_of(ours=1.0, usual=None, peer=2.0)
    table.compare("to do it", "ours", group="it")
    text = markdown.overview(run_of(table), ".")
    assert row_of(text, "to do it")[1:4] == ["**1 s**", "", "peer: 2 s, 2x slower"]


def test_a_usual_way_that_was_left_out_is_named_with_the_reason() -> None:
    contenders = [
        Contender("usual", None, "left out: 57x slower at 100 MB"),
        Contender("ours", lambda: 1.0),
        Contender("peer", lambda: 2.0),
    ]
    table = Table.measured("name", "title", contenders, 2, FULL)
    assert table.reference == "ours"
    table.compare("to do it", "ours", group="it")
    text = markdown.overview(run_of(table), ".")
    assert row_of(text, "to do it")[2] == "usual left out: 57x slower at 100 MB"
    details = markdown.every_table(run_of(table), ".")
    assert "| usual | left out: 57x slower at 100 MB |" in details


def test_of_a_group_the_overview_shows_where_sharray_does_worst() -> None:
    tables = [table_of(ours=ours, peer=10.0) for ours in (5.0, 15.0, 2.0)]
    for number, table in enumerate(tables):
        table.compare(f"task {number}", "ours", group="it")
    text = markdown.overview(run_of(*tables), ".")
    assert [n for n in range(3) if f"| task {n} |" in text] == [1]


# -- plots -------------------------------------------------------------------


def test_the_plot_names_every_contender() -> None:
    tables = []
    for what in (ARGUMENT, BOTH):
        for nbytes in (1_000, 1_000_000):
            table = table_of(**{"sharray.install()": 1.0, "joblib": nbytes / 1e5})
            tables.append(replace(table, name=table_name(what, nbytes)))
    results_module.write(run_of(*tables), Path("results.json"))
    draw = "plots.draw(results.read(Path('results.json')), Path())"
    in_another_process(
        f"from benchmarks.harness import results; "
        f"from benchmarks.report import plots; {draw}"
    )
    texts = {one.text for one in ElementTree.parse("passing.svg").iter() if one.text}
    assert {"sharray.install()", "joblib", "1 kB", "1 MB", "1 s"} <= texts


def test_the_plot_of_many_arrays_has_a_line_for_each_operation() -> None:
    names = {"make": "many, make", "end": "many, end"}
    rows = {"beside 1": 1e-5, "beside 2,000": 2e-5}
    tables = [replace(table_of(**rows), name=name) for name in names.values()]
    results_module.write(run_of(*tables), Path("results.json"))
    in_another_process(
        "from benchmarks.harness import results; from benchmarks.report import plots; "
        "plots.draw(results.read(Path('results.json')), Path())"
    )
    assert sorted(os.listdir()) == ["many.svg", "results.json"]
    texts = {one.text for one in ElementTree.parse("many.svg").iter() if one.text}
    assert {*names, "other arrays that live in the process"} <= texts


# -- the README's rows -------------------------------------------------------


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        # The two worst ones last, whether the others are lost or not.
        (
            {"a": 0.1, "b": 1.5, "c": 3.0, "d": 2.0, "e": 0.2, "f": 0.3, "g": 0.4},
            ["a", "b", "e", "c", "d"],
        ),
        (
            {"a": 0.1, "b": 1.5, "c": 0.2, "d": 1.0, "e": 1.04},
            ["a", "c", "d", "e", "b"],
        ),
        ({"a": 0.1, "b": 0.2}, ["a", "b"]),
        # One of each group; a group counts as lost where it does worst.
        ({"a1": 0.1, "a2": 2.0, "b1": 0.5, "b2": 0.6}, ["b1", "a2"]),
    ],
)
def test_the_readme_shows_the_two_rows_that_are_lost_most(
    ratios: dict[str, float], expected: list[str]
) -> None:
    rows = markdown.readme_rows(run_with(**ratios))
    assert [one.table.name for one in rows] == expected


def test_the_readme_has_rows_of_the_results_file() -> None:
    found = results_module.read(ROOT / publish.RESULTS)
    rows = markdown.readme_rows(found)
    lost = [one for one in rows if one.is_lost]
    lost_at_all = [one for one in worst_of_each_group(found) if one.is_lost]
    assert len(rows) == 5
    assert len(lost) >= min(2, len(lost_at_all))
    page = (ROOT / "README.md").read_text("utf-8")
    for one in rows:
        cells = row_of(page, one.contest.task)
        assert cells[1].strip("*") == quantity(one.ours, one.table.unit)
        best = f"{quantity(one.medians[one.best_peer], one.table.unit)}"
        assert best in cells[2].replace("*", "") + cells[3].replace("*", "")


def test_the_readme_explains_what_it_names() -> None:
    table = table_of(ours=2.0, **{"SharedMemory, reused": 1.0})
    table.compare("to do it", "ours", group="it")
    assert "*SharedMemory, reused* is code that" in markdown.readme(run_of(table), ".")
    other = table_of(ours=2.0, peer=1.0)
    other.compare("to do it", "ours", group="it")
    assert "reused" not in markdown.readme(run_of(other), ".")
