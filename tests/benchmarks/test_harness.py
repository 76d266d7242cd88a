"""Measuring: rounds, budgets and ratios, on a clock that the tests move."""

from __future__ import annotations

import pytest
from benchmark_tables import row_of, run_of, table_of

from benchmarks.harness.clock import Clock
from benchmarks.harness.measuring import FULL, Contender, Spread
from benchmarks.harness.results import summarize
from benchmarks.harness.tables import Table
from benchmarks.report import markdown, terminal


def test_a_peer_that_is_not_installed_is_shown_as_such() -> None:
    table = table_of(here=1.0, missing=None)
    table.demand("missing", 2, times="here")
    found = summarize("opening", table)
    assert [row.missing for row in found.rows] == ["", "not installed"]
    assert found.targets == []
    assert "| missing | not installed |" in markdown.every_table(run_of(table), ".")


class Machine:
    """A clock, and contenders that move it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in ("measuring", "clock"):
            for name in ("perf_counter", "monotonic"):
                target = f"benchmarks.harness.{module}.time.{name}"
                monkeypatch.setattr(target, lambda: self.now)

    def taking(self, *seconds: float) -> Contender:
        """Take these seconds in turn, and the last ones from then on."""
        left = list(seconds)

        def sample() -> float:
            taken = left.pop(0) if len(left) > 1 else left[0]
            self.now += taken
            return taken

        return Contender(str(seconds[-1]), sample)


def samples_of(table: Table) -> dict[str, int]:
    return {name: len(found or ()) for name, found in table.samples.items()}


def test_a_slow_contender_gets_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    cases = [machine.taking(seconds) for seconds in (0.5, 2.0, 6.0, 30.0)]
    table = Table.measured("name", "title", cases, 8, FULL, seconds=20)
    assert samples_of(table) == {"0.5": 8, "2.0": 3, "6.0": 1, "30.0": 1}
    ratio = table.ratio("30.0", "0.5")
    assert ratio is not None
    assert ratio.median == 60
    shown = markdown.every_table(run_of(table), ".")
    assert "| 2.0 | 2 s | 2 - 2 | 2 s | 4x | 3 of 8 |" in shown
    assert "| 0.5 | 500 ms | 500 - 500 | 500 ms | 1x | 8 |" in shown


def test_each_contender_has_a_sample_although_half_a_round_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    cases = [machine.taking(2.0), machine.taking(1.0)]
    table = Table.measured("name", "title", cases, 1 // 2, FULL)
    table.demand("2.0", 3, times="1.0")
    assert samples_of(table) == {"2.0": 1, "1.0": 1}


def test_what_is_cold_is_measured_only_on_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    for warm_up, expected in ((True, (1.0, 1.0)), (False, (9.0, 1.0))):
        case = machine.taking(9.0, 1.0)
        measured = Table.measured(
            "name", "title", [case], 2, FULL, seconds=99, warm_up=warm_up
        )
        assert measured.samples == {"1.0": expected}


def test_ratios_are_those_of_samples_of_the_same_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A machine that becomes three times slower, and a peer that is twice as slow as
    # ours: the ratio of the medians may be another one.
    machine = Machine(monkeypatch)
    ours = machine.taking(1.0, 1.0, 3.0, 3.0, 3.0)._replace(name="ours")
    peer = machine.taking(2.0, 2.0, 6.0)._replace(name="peer")
    table = Table.measured("name", "title", [ours, peer], 4, FULL, seconds=26)
    assert samples_of(table) == {"ours": 4, "peer": 3}
    table.compare("to do it", "ours", group="it")
    behind = summarize("opening", table).row("peer").behind
    assert behind == Spread(0.5, 0.5, 0.5, 0.5)
    text = markdown.overview(run_of(table), ".")
    assert row_of(text, "to do it")[2] == "peer: 6 s, 2x slower"


def test_the_overview_has_quartiles_of_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    ours = machine.taking(1.0)._replace(name="ours")
    peer = machine.taking(9.0, 2.0, 3.0, 4.0, 5.0, 6.0)._replace(name="peer")
    table = Table.measured("name", "title", [ours, peer], 5, FULL, seconds=99)
    table.compare("to do it", "ours", group="it")
    text = markdown.overview(run_of(table), ".")
    assert row_of(text, "to do it")[2] == "peer: 4 s, 4x slower (3 - 5)"


def test_fewer_rounds_and_less_time_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(monkeypatch)
    tables = {
        "rounds": FULL._replace(most=4),
        "time": FULL._replace(pace=0.25),
        "neither": FULL,
    }
    found = []
    for name, effort in tables.items():
        case = machine.taking(1.0)
        table = Table.measured(name, "title", [case], 8, effort, seconds=12)
        found.append(summarize("opening", table))
    assert [one.rows[0].samples for one in found] == [4, 3, 8]
    terminal.show_left_out(terminal.console(), found)
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of 3 tables: rounds; time. For more" in said


def test_a_run_that_is_late_paces_the_topics_that_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    clock = Clock(100, {"first": 40, "second": 40, "third": 20})
    assert clock.pace("first") == 1
    machine.now += 70
    assert clock.pace("second") == 0.5
    machine.now += 10
    assert clock.pace("third") == 1
    late = Clock(10, {"first": 5, "second": 5})
    machine.now += 20
    assert 0 < late.pace("first") < 0.1
