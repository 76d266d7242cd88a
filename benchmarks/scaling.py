"""Scaling: what thousands of arrays take, each and together."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .children import output_of
from .harness import QUICK, Effort
from .scaling_process import STEPS, most_arrays
from .scratch import Scratch
from .tables import Table

_MANY, _MANY_QUICK = 20_000, 1_000
_PART = 4  # of them are compared with all
_USUAL, _USUAL_QUICK = 4_000, 200
_ROUNDS = 5
# Of time per array. If it grew with the number of arrays, this would be 4.
_LINEAR = 1.5
_SECOND = 1.0


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure both, each time in new processes."""
    quick, most = effort == QUICK, most_arrays()
    many = min(_MANY_QUICK if quick else _MANY, most)
    usual = min(_USUAL_QUICK if quick else _USUAL, most)
    rounds = 1 if quick else _ROUNDS
    yield _growth(many // _PART, many, rounds)
    yield _seconds(usual, rounds)


def _growth(few: int, many: int, rounds: int) -> Table:
    """Pairs, one after the other: both see the same machine."""
    found: dict[str, list[float]] = {step: [] for step in STEPS}
    for _ in range(rounds):
        less, more = _measure(few), _measure(many)
        for step in STEPS:
            found[step].append(more[step] / many / (less[step] / few))
    table = Table(
        "growth",
        f"time per array with {many:,} arrays, as a multiple of that with {few:,}",
        {STEPS[step]: tuple(ratios) for step, ratios in found.items()},
        "x",
    )
    for name in STEPS.values():
        table.demand(name, _LINEAR)
    return table


def _seconds(number: int, rounds: int) -> Table:
    found: dict[str, list[float]] = {step: [] for step in STEPS}
    for _ in range(rounds):
        for step, seconds in _measure(number).items():
            found[step].append(seconds)
    table = Table(
        "many arrays",
        f"all of {number:,} arrays of 1 kB",
        {STEPS[step]: tuple(seconds) for step, seconds in found.items()},
    )
    for step in ("list", "end"):
        table.demand(STEPS[step], _SECOND)
    return table


def _measure(number: int) -> dict[str, float]:
    found: dict[str, float] = json.loads(output_of("scaling_process", str(number)))
    return found
