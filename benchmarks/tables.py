"""Tables: what was measured together, who competes in it, and which goals are set."""

from __future__ import annotations

from dataclasses import dataclass, field

from .harness import BUDGET, Contender, Samples, Spread, measure, spread


@dataclass(frozen=True)
class Goal:
    """A number that must not be exceeded.

    Attributes
    ----------
    what : str
        The contender, and what its number is divided by, if anything.
    measured : Spread
        The number.
    limit : float
        The most that it may be.
    unit : {'x', 's', 'B'}
        Ratio, seconds or bytes.
    worst : bool
        Whether the limit is for the maximum, instead of the median.
    """

    what: str
    measured: Spread
    limit: float
    unit: str
    worst: bool = False

    @property
    def value(self) -> float:
        """The number that counts."""
        return self.measured.worst if self.worst else self.measured.median

    @property
    def reached(self) -> bool:
        """Whether the limit is kept."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Contest:
    """Who is compared with whom in the summary of all tables.

    Attributes
    ----------
    task : str
        What all of them do, in a few words.
    ours : str
        The contender that stands for sharray.
    peers : list of str
        Those that do the same by other means, installed or not.
    floors : list of str
        Those that do less, and show the least that it can take.
    group : str
        Of the tables of a group, the summary has the one where sharray does worst.
    """

    task: str
    ours: str
    peers: list[str]
    floors: list[str]
    group: str


@dataclass
class Table:
    """What was measured together.

    Attributes
    ----------
    name, title : str
        For programs, and for people.
    samples : dict
        Of each contender; None for one that is not measured.
    unit : {'s', 'B', 'x'}
        Of the samples.
    missing : dict
        Why some contenders are not measured, if not because of their installation.
    goals : list of Goal
        For some of the contenders.
    contest : Contest, optional
        Only where there is somebody to compare with.
    """

    name: str
    title: str
    samples: dict[str, Samples | None]
    unit: str = "s"
    missing: dict[str, str] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    contest: Contest | None = None

    @classmethod
    def measured(
        cls,
        name: str,
        title: str,
        contenders: list[Contender],
        rounds: int,
        budget: float = BUDGET,
    ) -> Table:
        """Measure, and put what was found in a table."""
        missing = {one.name: one.missing for one in contenders if one.sample is None}
        return cls(name, title, measure(contenders, rounds, budget), missing=missing)

    @property
    def reference(self) -> str:
        """The first contender, which the others are compared with."""
        return next(iter(self.samples))

    def spread(self, name: str) -> Spread | None:
        """What was measured of a contender; None if nothing was."""
        samples = self.samples[name]
        return None if samples is None else spread(samples)

    def median(self, name: str) -> float:
        """The median of a contender that was measured."""
        return spread(self.samples[name] or ()).median

    def ratio(self, name: str, reference: str) -> Spread | None:
        """How many times longer than a reference; None if one was not measured.

        The samples of each round are compared, which were taken at nearly the
        same time, and not the medians of all. Of slow contenders there are fewer.
        """
        samples, references = self.samples[name], self.samples[reference]
        if samples is None or references is None:
            return None
        pairs = zip(samples, references, strict=False)
        return spread(one / other for one, other in pairs)

    def demand(
        self,
        name: str,
        limit: float,
        *,
        times: str | None = None,
        worst: bool = False,
    ) -> None:
        """Set a goal for a contender.

        Parameters
        ----------
        name : str
            The contender.
        limit : float
            The most that it may take: in the table's unit, or as a multiple.
        times : str, optional
            The contender that it may take a multiple of.
        worst : bool, default False
            Whether all samples must keep the limit, and not only the median.
        """
        if times is None:
            what, unit, found = name, self.unit, self.spread(name)
        else:
            what, unit = f"{name} / {times}", "x"
            found = self.ratio(name, times)
        if found is not None:
            self.goals.append(Goal(what, found, limit, unit, worst))

    def compare(
        self,
        task: str,
        ours: str,
        *,
        group: str,
        floors: tuple[str, ...] = (),
        without: tuple[str, ...] = (),
    ) -> None:
        """Enter this table for the summary; all others in it are peers.

        Parameters
        ----------
        task, ours, floors, group
            See `Contest`.
        without : tuple of str
            Those that are no peers, such as other ways of sharray.
        """
        others = {ours, *floors, *without}
        peers = [name for name in self.samples if name not in others]
        self.contest = Contest(task, ours, peers, list(floors), group)
