"""Comparing: how sharray does beside the best of its peers in a table."""

from __future__ import annotations

from dataclasses import dataclass

from ..harness.quantities import is_same
from ..harness.results import Result, Results
from ..harness.tables import Contest


@dataclass(frozen=True)
class Comparison:
    """A table in which sharray and at least one peer were measured."""

    table: Result
    contest: Contest
    medians: dict[str, float]  # of sharray and of its peers

    @property
    def ours(self) -> float:
        """Return the median of sharray."""
        return self.medians[self.contest.ours]

    @property
    def best_peer(self) -> str:
        """Return the name of the fastest peer."""
        peers = [name for name in self.medians if name != self.contest.ours]
        return min(peers, key=self.medians.__getitem__)

    @property
    def ratio(self) -> float:
        """Return sharray's median as a multiple of the best peer's."""
        return self.ours / self.medians[self.best_peer]

    @property
    def winners(self) -> set[str]:
        """Return the fastest contender, and all that are called as fast."""
        least = min(self.medians.values())
        return {name for name, found in self.medians.items() if is_same(found / least)}


def compare(table: Result) -> Comparison | None:
    """Compare sharray with its peers; None if there is nothing to compare."""
    contest = table.contest
    if contest is None:
        return None
    names = [contest.ours, *contest.peers]
    medians = {name: found for name in names if (found := table.median(name))}
    if contest.ours not in medians or len(medians) < 2:
        return None
    return Comparison(table, contest, medians)


def worst_of_each_group(results: Results) -> list[Comparison]:
    """Return of each group the table in which sharray does worst."""
    groups: dict[str, Comparison] = {}
    for one in filter(None, map(compare, results.tables)):
        group = one.contest.group
        if group not in groups or one.ratio > groups[group].ratio:
            groups[group] = one
    return list(groups.values())
