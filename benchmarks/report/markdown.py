"""Tables in Markdown: the summary, and every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..harness.quantities import in_words, is_same, quantity
from ..harness.results import Result, Results
from ..topics import TOPICS
from .comparison import Verdict, verdict, worst_of_each_group
from .plots import PASSING, can_draw
from .terminal import HEADINGS, cells, target_in_words


def summary(results: Results, images: str) -> str:
    """One row for each group of tables, and how they were measured.

    Parameters
    ----------
    results : Results
        Of a run.
    images : str
        Where the plots are, seen from the file that the text is for.
    """
    rows = worst_of_each_group(results)
    headings = ("", "sharray", "the usual way", "the best peer", "the least")
    parts = [
        _grid(headings, (_summary_row(one) for one in rows)),
        "Of several tables on a topic, this is the one in which sharray compares "
        "worst with its best peer, of those installed. *Faster* and *slower* say what "
        "sharray is. Bold is what takes least; all of it, within 5 %. *The least* is "
        "what something takes that does less: bare system calls, one memcpy, a plain "
        "ndarray.",
        _measured_on(results),
    ]
    if can_draw(results):
        words = "Time to send an array to a worker, and to get it back, over its size"
        parts.append(_picture(words, images, PASSING))
    return "\n\n".join(parts)


def every_table(results: Results, images: str) -> str:
    """Every table below the heading of its topic, with its goals."""
    parts = []
    for topic, description in TOPICS.items():
        tables = [one for one in results.tables if one.topic == topic]
        if tables:
            parts.append(f"### {topic.capitalize()}\n\n{description}")
            parts += map(_table, tables)
    return "\n\n".join(parts)


SECTIONS: dict[str, Callable[[Results, str], str]] = {
    "summary": summary,
    "all": every_table,
}


def _summary_row(one: Verdict) -> list[str]:
    unit = one.table.unit
    ours = _bold(quantity(one.ours, unit), one.ratio <= 1 or is_same(one.ratio))
    assert one.table.contest is not None
    usual = one.table.contest.peers[0]
    least = ""
    if one.floor:
        least = f"{quantity(one.table.median(one.floor) or 0, unit)}, {one.floor}"
    return [
        one.task,
        ours,
        "" if one.usual is None else _compared(one, one.usual, usual),
        "" if one.peer == usual else _compared(one, one.best, one.peer),
        least,
    ]


def _compared(one: Verdict, theirs: float, name: str) -> str:
    """What a peer takes, and how sharray compares with it."""
    unit = one.table.unit
    wins = one.peer == name and (one.ratio >= 1 or is_same(one.ratio))
    return f"{_bold(quantity(theirs, unit), wins)}, {name}: " + in_words(
        one.ours / theirs, unit
    )


def _table(table: Result) -> str:
    won = verdict(table)
    winners = set()
    if won is not None and table.contest is not None:
        if won.ratio <= 1 or is_same(won.ratio):
            winners.add(table.contest.ours)
        if won.ratio >= 1 or is_same(won.ratio):
            winners.add(won.peer)
    rows = []
    for row in table.rows:
        name = _bold(row.name, row.name in winners)
        shown = [row.missing, *[""] * 4] if row.missing else cells(row, table.unit)
        rows.append([name, *shown])
    parts = [f"**{table.title}**", _grid(("", *HEADINGS), rows)]
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
    python = versions.removeprefix("python ")
    quick = (
        " A quick run: small arrays and few samples, which shows that it works, and "
        "not how fast."
        if results.quick
        else ""
    )
    return (
        f"Measured on {date} on {cores} cores of {cpu}, {kernel}, with {python}; load "
        f"{load} before. Medians of {min(numbers)} to {max(numbers)} samples.{quick}"
    )


def _grid(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = list(headings)
    # Numbers to the right.
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def _bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text


def _picture(words: str, images: str, name: str) -> str:
    return f"![{words}]({images}/{name})"
