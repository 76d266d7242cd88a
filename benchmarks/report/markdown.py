"""Results in Markdown: the README's rows, a row for each group, and every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..harness.quantities import factors, in_words, is_same, quantity
from ..harness.results import Result, Results
from ..passing.contenders import REUSED
from ..topics import TOPICS
from .comparison import Comparison, compare, worst_of_each_group
from .plots import MANY, PASSING, can_draw, can_draw_many
from .terminal import HEADINGS, cells, target_in_words

_ROWS = 5  # of the README
_LOST = 2  # of these, at least if there are so many
# The tables that the README prefers. The others follow in their order.
_PREFERRED = (
    "argument and result, 100 MB",
    "handles",
    "dispatch after a pause",
    "memory of workers",
    "images",
)
# What a reader of the README cannot know.
_NOTES = {
    REUSED: "code that keeps two blocks itself, so that only one call can run at a "
    "time",
}
_COMPARED = ("", "sharray", "without sharray", "best alternative")
_BOLD = "Bold: fastest (or least memory), or within 5 % of it."
_QUARTILES = "In brackets: quartiles of the ratios of single rounds."


def readme(results: Results, images: str) -> str:
    """Return the few rows that a newcomer learns most from, the worst ones included."""
    chosen = readme_rows(results)
    table = _grid(_COMPARED, map(_compared, chosen))
    machine = results.machine
    notes = [
        f"*{name}* is {note}."
        for name, note in _NOTES.items()
        if any(name in (one.best_peer, one.contest.peers[0]) for one in chosen)
    ]
    where = f"Medians on {machine['cores']} cores of {machine['cpu']}."
    return f"{table}\n\n{' '.join([_BOLD, _QUARTILES, where, *notes])}"


def readme_rows(results: Results) -> list[Comparison]:
    """Choose rows of different groups, of which at least two are lost if any are.

    The lost ones are those in which sharray compares worst. They come last.
    """
    worst = worst_of_each_group(results)
    lost = sorted(
        (one for one in worst if one.is_lost), key=lambda one: one.ratio, reverse=True
    )[:_LOST]
    taken = {one.contest.group for one in lost}
    rest: list[Comparison] = []
    for one in sorted(filter(None, map(compare, results.tables)), key=_preference):
        if one.contest.group not in taken and len(rest) + len(lost) < _ROWS:
            taken.add(one.contest.group)
            rest.append(one)
    return rest + lost


def _preference(one: Comparison) -> int:
    name = one.table.name
    return _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)


def overview(results: Results, images: str) -> str:
    """Return one row for each group of tables, and how they were measured."""
    rows = [[*_compared(one), _floor(one)] for one in worst_of_each_group(results)]
    parts = [
        _grid((*_COMPARED, "fastest possible"), rows),
        "Each row stands for a group of tables: the one in which sharray compares "
        f"worst with its best peer. {_BOLD} {_QUARTILES} Fastest possible: bare "
        "system calls, a copy of the memory, or a plain ndarray, which do less.",
        _measured_on(results),
    ]
    if can_draw(results):
        words = "Time to send an array to a worker, and to get it back, by size"
        parts.append(f"![{words}]({images}/{PASSING})")
    if can_draw_many(results):
        words = "Time of an operation by the number of arrays that live"
        parts.append(f"![{words}]({images}/{MANY})")
    return "\n\n".join(parts)


def every_table(results: Results, images: str) -> str:
    """Return every table below the heading of its topic, with its targets."""
    parts = []
    for name, topic in TOPICS.items():
        tables = [one for one in results.tables if one.topic == name]
        if tables:
            parts.append(f"### {name.capitalize()}\n\n{topic.description}")
            parts += map(_table, tables)
    return "\n\n".join(parts)


# Of the pages; each is called with the place of the pictures, seen from its page.
SECTIONS: dict[str, Callable[[Results, str], str]] = {
    "summary": readme,
    "overview": overview,
    "all": every_table,
}


def _compared(one: Comparison) -> list[str]:
    """Return the task, and the values of sharray, the usual way and the best peer."""
    usual, best = one.contest.peers[0], one.best_peer
    return [
        one.contest.task,
        _median(one, one.contest.ours),
        _peer(one, usual) if usual in one.medians else _missing(one, usual),
        "none better" if best == usual else _peer(one, best),
    ]


def _median(one: Comparison, name: str) -> str:
    return _bold(quantity(one.medians[name], one.table.unit), name in one.winners)


def _peer(one: Comparison, name: str) -> str:
    behind = one.behind(name)
    median, low, high = 1 / behind.median, 1 / behind.high, 1 / behind.low
    words = in_words(median, one.table.unit)
    if low < high and not is_same(median):
        words += f" ({factors(low, high, median)})"
    return f"{name}: {_median(one, name)}, {words}"


def _missing(one: Comparison, name: str) -> str:
    """Return why the usual way was left out; "" if it is not installed."""
    missing = one.table.row(name).missing
    return f"{name} {missing}" if missing.startswith("left out") else ""


def _floor(one: Comparison) -> str:
    found = {name: one.table.median(name) for name in one.contest.floors}
    medians = [(median, name) for name, median in found.items() if median is not None]
    if not medians:
        return ""
    median, name = min(medians)
    return f"{name}: {quantity(median, one.table.unit)}"


def _table(table: Result) -> str:
    comparison = compare(table)
    winners = comparison.winners if comparison else set()
    rows = []
    for row in table.rows:
        shown = (
            [row.missing, *[""] * (len(HEADINGS) - 1)]
            if row.missing
            else cells(row, table)
        )
        rows.append([_bold(row.name, row.name in winners), *shown])
    parts = [f"**{table.title}**", _grid(("", *HEADINGS), rows, numbers=True)]
    targets = [
        f"- {'reached' if one.reached else '**missed**'}: {target_in_words(one)}"
        for one in table.targets
    ]
    return "\n\n".join([*parts, "\n".join(targets)] if targets else parts)


def _measured_on(results: Results) -> str:
    facts = dict(results.machine)
    cpu, cores, kernel, date, load = (
        facts.pop(name) for name in ("cpu", "cores", "kernel", "date", "load")
    )
    numbers = [row.samples for one in results.tables for row in one.rows if row.samples]
    versions = ", ".join(f"{name} {version}" for name, version in facts.items())
    cut = sum(one.is_cut for one in results.tables)
    some = f" In {cut} tables, time ran out before all rounds." if cut else ""
    quick = " A quick run, which shows that it works, not how fast."
    return (
        f"Measured on {date} on {cores} cores of {cpu} (load {load}), {kernel}, "
        f"{versions.removeprefix('python ')}. Medians of {min(numbers)} to "
        f"{max(numbers)} samples.{some}{quick if results.quick else ''}"
    )


def _grid(
    headings: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: bool = False
) -> str:
    headings = list(headings)
    rule = ["---", "---:", *["---:" if numbers else "---"] * (len(headings) - 2)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def _bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text
