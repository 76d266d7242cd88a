"""Results: what was measured of each contender, and which goals are reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from .harness import Contender, Samples, Spread, measure, spread


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


@dataclass
class Table:
    """What was measured together.

    Attributes
    ----------
    name, title : str
        For programs, and for people.
    samples : dict
        Of each contender; None for one that is not installed.
    unit : {'s', 'B'}
        Of the samples.
    goals : list of Goal
        For some of the contenders.
    """

    name: str
    title: str
    samples: dict[str, Samples | None]
    unit: str = "s"
    goals: list[Goal] = field(default_factory=list)

    @classmethod
    def measured(
        cls,
        name: str,
        title: str,
        contenders: list[Contender],
        rounds: int,
        unit: str = "s",
    ) -> Table:
        """Measure, and put what was found in a table."""
        return cls(name, title, measure(contenders, rounds), unit)

    @property
    def reference(self) -> str:
        """The first contender, which the others are compared with."""
        return next(iter(self.samples))

    def spread(self, name: str) -> Spread | None:
        """What was measured of a contender; None if it is not installed."""
        samples = self.samples[name]
        return None if samples is None else spread(samples)

    def median(self, name: str) -> float:
        """The median of a contender that is installed."""
        return spread(self.samples[name] or ()).median

    def ratio(self, name: str, reference: str) -> Spread | None:
        """How many times longer than a reference; None if one is not installed.

        The samples of each round are compared, which were taken at nearly the
        same time, and not the medians of all.
        """
        samples, references = self.samples[name], self.samples[reference]
        if samples is None or references is None:
            return None
        pairs = zip(samples, references, strict=True)
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
