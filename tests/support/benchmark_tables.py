"""Tables and results of benchmarks, with figures that are made up."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

from repository import ROOT

from benchmarks.harness.measuring import FULL, Contender
from benchmarks.harness.results import Results, summarize
from benchmarks.harness.tables import Table


def table_of(**medians: float | None) -> Table:
    contenders = [
        Contender(name, None if median is None else lambda median=median: median)
        for name, median in medians.items()
    ]
    return Table.measured("name", "title", contenders, 2, FULL)


def run_of(*tables: Table) -> Results:
    facts: dict[str, Any] = {"cpu": "a cpu", "cores": 2, "kernel": "a kernel"}
    facts |= {"python": "CPython 3", "date": "a day", "load": 0}
    return Results(facts, False, [summarize("opening", one) for one in tables])


def run_with(**ratios: float) -> Results:
    tables = []
    for name, ratio in ratios.items():
        table = replace(table_of(ours=ratio, peer=1.0), name=name)
        table.compare(f"to do {name}", "ours", group=name.rstrip("0123456789"))
        tables.append(table)
    return run_of(*tables)


def row_of(text: str, task: str) -> list[str]:
    line = next(one for one in text.splitlines() if one.startswith(f"| {task} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def in_another_process(code: str) -> None:
    # matplotlib keeps the files of its fonts open.
    subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; {code}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=500,
    )
