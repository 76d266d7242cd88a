"""The benchmarks run; speed is not tested, since machines differ."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from repository import ROOT

from benchmarks.harness import results as results_module
from benchmarks.harness.clock import Clock
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.measuring import FULL, Contender, Spread
from benchmarks.harness.quantities import quantity
from benchmarks.harness.results import Results, summarize
from benchmarks.harness.tables import Table
from benchmarks.passing.calls import ARGUMENT, BOTH, table_name
from benchmarks.passing.memory_process import has_pandas
from benchmarks.report import markdown, publish, terminal
from benchmarks.report.comparison import worst_of_each_group
from benchmarks.topics import TOPICS
from benchmarks.topics.many_process import BESIDE, ONE_MORE

pytestmark = pytest.mark.slow

REPOSITORY = ROOT
KINDS = ("uniform", "triangular", "heavy-tailed")
TABLES = [
    "opening",
    "handles",
    "handle sizes",
    "a[5]",
    "a[5:9]",
    "a + 1",
    "append 1 KB in RAM",
    "append 1 KB on a disk",
    "append 10 MB",
    "flushing",
    "stalls",
    "creating",
    "creating from contents",
    "small arrays",
    *(f"many, {what}" for what in (*ONE_MORE, *BESIDE, "end")),
    "importing",
    "dispatch",
    "dispatch after a pause",
    "dispatch by size",
    "elementwise",
    "stencil",
    "transcendental",
    "sum",
    "histogram",
    "scatter-add",
    *(f"chunks, {kind} {what}" for kind in KINDS for what in ("kernels", "functions")),
    "calls of a function",
    "images",
    "results",
    "larger, time",
    "larger, bytes read",
    "starting",
    "starting many",
    "replacing",
    "compiling",
    "atomics",
    "atomics from Python",
    "argument, 1 MB",
    "argument and result, 1 MB",
    "argument, read",
    *(f"{task}, 4 MB" for task in ("change", "double", "full")),
    "results, kept",
    "same array",
    "crossover, argument",
    "crossover, argument and result",
    "first message",
    "first task",
    "slices",
    "handles of a DataFrame",
    "memory of workers",
]
MAY_BE_MISSING = (
    *("SharedArray.", "NpyAppendArray", "h5py", "tables", "zarr"),
    "a shared DataFrame",  # without pandas
)
WITHOUT_CONTEST = {
    *("handle sizes", "importing", "results", "larger, time", "larger, bytes read"),
    *(name for name in TABLES if name.startswith("chunks, ")),
    *(name for name in TABLES if name.startswith("many, ")),
    *("crossover, argument", "crossover, argument and result"),
    *("dispatch by size", "starting many", "first task", "handles of a DataFrame"),
}


def start(*options: str, **more: Any) -> subprocess.Popen[str]:
    # A process of its own: it leaves a resource tracker behind, as does all that
    # uses multiprocessing.shared_memory.
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def run(*options: str) -> tuple[int, str]:
    with start(*options) as process:
        _, said = process.communicate(timeout=500)
    return process.returncode, said


def leftovers() -> set[str]:
    """Return the leftovers of benchmarks that have ended."""
    return {
        name
        for directory in ("/dev/shm", "/var/tmp")
        for name in os.listdir(directory)
        if name.startswith("sharray-benchmark-")
        and not os.path.exists(f"/proc/{name.split('-')[2]}")
    }


# -- a quick run of everything -----------------------------------------------


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    before = leftovers()
    assert run("--quick", "--json", str(path)) == (0, "")
    assert leftovers() - before == set()
    return path


@pytest.fixture(scope="module")
def results(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return found


def test_results_say_what_they_were_measured_on(results: dict[str, Any]) -> None:
    assert results["quick"] is True
    for fact in ("cpu", "cores", "kernel", "python", "numpy", "numba", "date"):
        assert results["machine"][fact]


def test_every_contender_was_measured(results: dict[str, Any]) -> None:
    assert [table["name"] for table in results["tables"]] == TABLES
    assert list(dict.fromkeys(one["topic"] for one in results["tables"])) == [*TOPICS]
    for table in results["tables"]:
        assert len(table["rows"]) >= 2
        for row in table["rows"]:
            if row["missing"]:
                assert row["missing"] == "not installed"
                assert row["name"].startswith(MAY_BE_MISSING)
                continue
            assert row["samples"] >= 1
            low, median, high = (row["found"][n] for n in ("low", "median", "high"))
            assert 0 < low <= median <= high <= row["found"]["worst"]


def test_every_topic_has_targets(results: dict[str, Any]) -> None:
    without = [table["name"] for table in results["tables"] if not table["targets"]]
    assert without == [
        "crossover, argument",
        "crossover, argument and result",
        *([] if has_pandas() else ["handles of a DataFrame"]),
    ]


def test_every_table_with_peers_names_them(results: dict[str, Any]) -> None:
    for table in results["tables"]:
        contest = table["contest"]
        assert (contest is None) is (table["name"] in WITHOUT_CONTEST)
        if contest is not None:
            names = {row["name"] for row in table["rows"]}
            assert contest["peers"]
            assert {contest["ours"], *contest["peers"], *contest["floors"]} <= names


def test_a_file_of_results_is_read_as_it_was_written(output: Path) -> None:
    results_module.write(results_module.read(output), Path("again"))
    assert Path("again").read_text() == output.read_text()


# -- a table -----------------------------------------------------------------


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


def row_of(text: str, task: str) -> list[str]:
    line = next(one for one in text.splitlines() if one.startswith(f"| {task} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


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


def test_of_a_group_the_overview_shows_where_sharray_does_worst() -> None:
    tables = [table_of(ours=ours, peer=10.0) for ours in (5.0, 15.0, 2.0)]
    for number, table in enumerate(tables):
        table.compare(f"task {number}", "ours", group="it")
    text = markdown.overview(run_of(*tables), ".")
    assert [n for n in range(3) if f"| task {n} |" in text] == [1]


# -- plots -------------------------------------------------------------------


def in_another_process(code: str) -> None:
    # matplotlib keeps the files of its fonts open.
    subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; {code}"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=True,
        timeout=500,
    )


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


# -- the README's rows -------------------------------------------------------


def run_with(**ratios: float) -> Results:
    tables = []
    for name, ratio in ratios.items():
        table = replace(table_of(ours=ratio, peer=1.0), name=name)
        table.compare(f"to do {name}", "ours", group=name.rstrip("0123456789"))
        tables.append(table)
    return run_of(*tables)


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
    found = results_module.read(REPOSITORY / publish.RESULTS)
    rows = markdown.readme_rows(found)
    lost = [one for one in rows if one.is_lost]
    lost_at_all = [one for one in worst_of_each_group(found) if one.is_lost]
    assert len(rows) == 5
    assert len(lost) >= min(2, len(lost_at_all))
    page = (REPOSITORY / "README.md").read_text("utf-8")
    for one in rows:
        cells = row_of(page, one.contest.task)
        assert cells[1].strip("*") == quantity(one.ours, one.table.unit)
        best = f"{quantity(one.medians[one.best_peer], one.table.unit)}"
        assert best in cells[2].replace("*", "") + cells[3].replace("*", "")


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


def test_the_readme_explains_what_it_names() -> None:
    table = table_of(ours=2.0, **{"SharedMemory, reused": 1.0})
    table.compare("to do it", "ours", group="it")
    assert "*SharedMemory, reused* is code that" in markdown.readme(run_of(table), ".")
    other = table_of(ours=2.0, peer=1.0)
    other.compare("to do it", "ours", group="it")
    assert "reused" not in markdown.readme(run_of(other), ".")


# -- publishing --------------------------------------------------------------


def test_what_is_published_is_what_the_committed_results_say() -> None:
    found = results_module.read(REPOSITORY / publish.RESULTS)
    for page, text in publish.rewritten(found, REPOSITORY).items():
        assert page.read_text("utf-8") == text, (
            "these figures are generated: run "
            f"python -m benchmarks.report.publish {publish.RESULTS}"
        )


def test_published_pages_show_pictures_that_exist() -> None:
    for name in publish.PAGES:
        page = REPOSITORY / name
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
    # The plot of passing needs more than the one size of a quick run.
    assert os.listdir("docs/images/benchmarks") == ["many.svg"]
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
    assert os.listdir() == ["README.md"]
    assert Path("README.md").read_text() == text


def test_what_holds_no_results_is_refused() -> None:
    Path("results.json").write_text('{"tables": [{"name": "opening"}]}')
    with pytest.raises(BenchmarkError, match=r"results\.json does not hold results"):
        publish.publish(Path("results.json"), REPOSITORY)


# -- what goes wrong ---------------------------------------------------------


def test_an_unknown_topic_is_refused() -> None:
    status, said = run("--only", "speed")
    assert status == 2
    assert "invalid choice: 'speed'" in said
    assert "opening" in said


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "results.json"):
        status, said = run("--quick", "--only", "handles", "--json", str(path))
        assert (status, said.count("\n")) == (1, 1)
        assert said.startswith(f"benchmarks: cannot write {path}: expected a file")


def test_nothing_is_left_behind_after_an_error() -> None:
    before = leftovers()
    status, said = run("--quick", "--only", "flushing", "--disk", "/dev/shm")
    assert status == 1
    assert said == "benchmarks: /dev/shm is not on a disk: name one with --disk\n"
    assert leftovers() - before == set()


def processes_with(variable: str) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if variable.encode() in environment:
            found.append(Path(f"/proc/{pid}/cmdline").read_text())
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_behind_when_stopped(number: signal.Signals) -> None:
    before, mark = leftovers(), f"SHARRAY_TEST={uuid.uuid4()}"
    environment = os.environ | dict([mark.split("=")])
    options = ("--quick", "--only", "passing")
    with start(*options, env=environment, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Pool.apply with an argument of" in line:
                break
        assert len(processes_with(mark)) > 5
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=500)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert processes_with(mark) == []
    assert leftovers() - before == set()
