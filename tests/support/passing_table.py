"""The way arrays travel in each channel, and the guide's table of it.

Run as a program, it prints the table.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

from passing_channels import CHANNELS, INHERITED, METHODS, NOTHING, Channel
from passing_parcels import PICKLED, SHARED, Parcel, Stamp, pattern

import sharray as sh

BEGIN = "<!-- passing table -->"
END = "<!-- end of passing table -->"


class Outcome(NamedTuple):
    """The way arrays travelled, and whether plain pickle behaves the same."""

    arguments: str
    results: str
    faults: tuple[str, ...] = ()


@functools.cache
def outcomes(
    needs: Callable[[Any], Any], method: str, *, installed: bool = True
) -> dict[Channel, Outcome]:
    """Return the outcomes of a parcel in all channels with the same processes."""
    context = multiprocessing.get_context(method)
    found = {}
    with sh.installed() if installed else nullcontext(), needs(context) as needed:
        for channel in CHANNELS:
            if channel.needs is needs and method in channel.methods:
                found[channel] = _try(channel, needed)
    return found


def outcome(channel: Channel, method: str, *, installed: bool = True) -> Outcome:
    """Return the outcome of a parcel in a channel."""
    return outcomes(channel.needs, method, installed=installed)[channel]


def _try(channel: Channel, needed: Any) -> Outcome:
    stamps: list[Stamp] = []
    faults = []
    for _ in range(channel.trips):
        sent = Parcel(pattern())
        try:
            got = channel.send(needed, sent)
        except Exception as error:
            # Fail only this channel's test, not those of its neighbours.
            faults.append(repr(error))
            continue
        stamps += got.stamps if isinstance(got, Parcel) else got
        if isinstance(got, Parcel) and not got.is_intact():
            faults.append("what was received changed later")
        if not sent.is_intact():
            faults.append("a receiver has changed what was sent")
        if not stamps and channel.results != NOTHING:
            faults.append("it was sent nowhere")
    here = os.getpid()
    return Outcome(
        _roads([s for s in stamps if s.pid != here], INHERITED),
        _roads([s for s in stamps if s.pid == here], NOTHING),
        (*faults, *(fault for stamp in stamps for fault in stamp.faults)),
    )


def _roads(stamps: list[Stamp], otherwise: str) -> str:
    return ", ".join(sorted({stamp.road for stamp in stamps})) or otherwise


def table() -> str:
    """Return a Markdown table of the ways of arrays, found by sending them."""
    lines: dict[tuple[str, ...], list[str]] = {}
    for channel in CHANNELS:
        found = {m: outcome(channel, m) for m in METHODS if m in channel.methods}
        cells = [_cell(found[m]) if m in found else "not offered" for m in METHODS]
        key = channel.kind, *cells, _shared(list(found.values()))
        lines.setdefault(key, []).append(channel.name)
    rows = [
        (f"{kind}: {', '.join(names)}" if names[0] else kind, *cells)
        for (kind, *cells), names in lines.items()
    ]
    head = ("channel", *METHODS, "through shared memory")
    return "\n".join(f"| {' | '.join(r)} |" for r in [head, ("---",) * 5, *rows])


def _cell(found: Outcome) -> str:
    if found.faults:
        return "fails"
    if INHERITED in found:
        return INHERITED
    roads = {found.arguments, found.results} - {NOTHING}
    return {(SHARED,): "yes", (PICKLED,): "no"}.get(tuple(roads), "in part")


def _shared(found: list[Outcome]) -> str:
    what = [
        name
        for name in ("arguments", "results")
        if any(getattr(one, name) == SHARED for one in found)
    ]
    return " and ".join(what) or "nothing, it may lead to another machine"


if __name__ == "__main__":
    print(table())
