"""The summary: by one rule, which of all tables, and who of their contenders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..harness.results import Result, Results


@dataclass(frozen=True)
class Verdict:
    """What a table comes to.

    Attributes
    ----------
    table : Result
        Where it is from.
    task : str
        What all do.
    ours, usual, best : float
        The medians of sharray, of the first peer, which is what people would do
        without a library for it, and of the best one. The first may be missing.
    peer : str
        Name of the best one.
    floor : str
        The name of what does less in the least time; empty without.
    """

    table: Result
    task: str
    ours: float
    usual: float | None
    best: float
    peer: str
    floor: str

    @property
    def ratio(self) -> float:
        """Above 1 where the peer wins."""
        return self.ours / self.best


def verdict(table: Result) -> Verdict | None:
    """Of a table; None where sharray or all of its peers were not measured."""
    contest = table.contest
    if contest is None or (ours := table.median(contest.ours)) is None:
        return None
    peer, floor = _best(table, contest.peers), _best(table, contest.floors)
    if peer is None:
        return None
    best, name = peer
    usual = table.median(contest.peers[0])
    least = floor[1] if floor else ""
    return Verdict(table, contest.task, ours, usual, best, name, least)


def _best(table: Result, names: Iterable[str]) -> tuple[float, str] | None:
    medians = ((table.median(name), name) for name in names)
    return min(((m, name) for m, name in medians if m is not None), default=None)


def verdicts(results: Results) -> list[Verdict]:
    """Of all tables that have one."""
    return [found for table in results.tables if (found := verdict(table))]


def worst_of_each_group(results: Results) -> list[Verdict]:
    """One of each group: that in which sharray does worst."""
    groups: dict[str, Verdict] = {}
    for one in verdicts(results):
        assert one.table.contest is not None
        group = one.table.contest.group
        if group not in groups or one.ratio > groups[group].ratio:
            groups[group] = one
    return list(groups.values())
