"""Comparing: how sharray does beside the best of its peers in a table."""

from __future__ import annotations

from dataclasses import dataclass

from ..harness.measuring import Spread
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
        return max(peers, key=lambda name: self.behind(name).median)

    def behind(self, peer: str) -> Spread:
        """Return sharray's time as a multiple of a peer's, round by round."""
        found = self.table.row(peer).behind
        if found is not None:
            return found
        # Of results that were written before there were such ratios.
        ratio = self.ours / self.medians[peer]
        return Spread(ratio, ratio, ratio, ratio)

    @property
    def ratio(self) -> float:
        """Return sharray's time as a multiple of the best peer's."""
        return self.behind(self.best_peer).median

    @property
    def is_lost(self) -> bool:
        """Return whether the best peer takes less, and more than 5 % less."""
        return self.contest.ours not in self.winners

    @property
    def winners(self) -> set[str]:
        """Return the fastest contender, and all that are called as fast."""
        others = [name for name in self.medians if name != self.contest.ours]
        times = {name: 1 / self.behind(name).median for name in others}
        times[self.contest.ours] = 1.0
        least = min(times.values())
        return {name for name, found in times.items() if is_same(found / least)}


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
