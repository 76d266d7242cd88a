"""Tables: contenders measured together, who competes in a table, and targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .measuring import SECONDS, Contender, Effort, Samples, Spread, measure, spread


@dataclass(frozen=True)
class Target:
    """A limit for the median of a contender."""

    what: str  # the contender, or "contender / other" for a ratio
    measured: Spread
    limit: float
    unit: str  # "s", "B" or "x", which is a ratio

    @property
    def reached(self) -> bool:
        """Whether the median is within the limit."""
        return self.measured.median <= self.limit


@dataclass(frozen=True)
class Contest:
    """The contenders that the summary of all tables compares."""

    task: str  # what all of them do, in a few words
    ours: str  # the contender that stands for sharray
    peers: list[str]  # do the same by other means; the first is the usual way
    floors: list[str]  # do less, and show how fast it could be
    group: str  # the overview has one table of each group


@dataclass
class Table:
    """The samples of contenders that were measured together."""

    name: str  # for programs
    title: str  # for people
    samples: dict[str, Samples | None]  # None for a contender that is not measured
    unit: str = "s"  # or "B" or "x"
    planned: int = 0  # samples of each contender, had there been time; 0 if any is all
    missing: dict[str, str] = field(default_factory=dict)  # why one is not measured
    targets: list[Target] = field(default_factory=list)
    contest: Contest | None = None

    @classmethod
    def measured(
        cls,
        name: str,
        title: str,
        contenders: Iterable[Contender],
        rounds: int,
        effort: Effort,
        *,
        seconds: float = SECONDS,
        warm_up: bool = True,
    ) -> Table:
        """Measure the contenders and return their table; see `take_turns`.

        The effort may grant fewer rounds, and less time, than a table plans.
        """
        contenders = list(contenders)
        samples = measure(
            contenders,
            min(rounds, effort.most),
            seconds * effort.pace,
            warm_up=warm_up,
        )
        missing = {one.name: one.missing for one in contenders if one.sample is None}
        return cls(name, title, samples, planned=rounds, missing=missing)

    @property
    def reference(self) -> str:
        """Return the first measured contender, which others are compared with."""
        measured = (name for name, found in self.samples.items() if found is not None)
        return next(measured, next(iter(self.samples)))

    def spread(self, name: str) -> Spread | None:
        """Summarize the samples of a contender; None if it is not measured."""
        samples = self.samples[name]
        return None if samples is None else spread(samples)

    def ratio(self, name: str, reference: str) -> Spread | None:
        """Summarize how many times longer a contender takes than a reference.

        This compares the samples of each round, which were taken at nearly the same
        time, and not the medians. Slow contenders have fewer samples.
        """
        samples, references = self.samples[name], self.samples[reference]
        if samples is None or references is None:
            return None
        pairs = zip(samples, references, strict=False)
        return spread(one / other for one, other in pairs)

    def demand(self, name: str, limit: float, *, times: str | None = None) -> None:
        """Set a target: a limit in the table's unit, or as a multiple of `times`."""
        if times is None:
            what, unit, found = name, self.unit, self.spread(name)
        else:
            what, unit = f"{name} / {times}", "x"
            found = self.ratio(name, times)
        if found is not None:
            self.targets.append(Target(what, found, limit, unit))

    def compare(
        self,
        task: str,
        ours: str,
        *,
        group: str,
        floors: tuple[str, ...] = (),
        without: tuple[str, ...] = (),
    ) -> None:
        """Enter this table for the summary.

        All other contenders are peers, but for those in `without`, such as other ways
        of sharray.
        """
        others = {ours, *floors, *without}
        peers = [name for name in self.samples if name not in others]
        self.contest = Contest(task, ours, peers, list(floors), group)
