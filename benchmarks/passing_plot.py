"""The plot of `benchmarks.passing`: time per call over size, and ratio to plain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .passing import ARGUMENT, BOTH, LARGEST, SIZES, table_name
from .passing_peers import OURS, PEERS, PLAIN
from .tables import Table


def draw(tables: Sequence[Table], path: Path) -> None:
    """Write a plot of what was measured; the format goes by the file's name.

    Parameters
    ----------
    tables : sequence of Table
        Those of the topic; others are passed over.
    path : Path
        The file, such as ``passing.svg``.
    """
    from matplotlib.figure import Figure

    found = {table.name: table for table in tables}
    figure = Figure(figsize=(13, 10), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    for column, what in zip(panels.T, (ARGUMENT, BOTH), strict=True):
        by_size = {
            nbytes: found[table_name(what, nbytes)]
            for nbytes in [*SIZES, *LARGEST]
            if table_name(what, nbytes) in found
        }
        _draw_column(column, what, by_size)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.savefig(path)


def _draw_column(column: Any, what: str, by_size: dict[int, Table]) -> None:
    from matplotlib import colormaps

    colour_of = colormaps["tab20"]
    times, ratios = column
    # A dictionary, as sets have no order.
    names = dict.fromkeys(name for table in by_size.values() for name in table.samples)
    for name in names:
        style = {
            "color": "k" if name == OURS else colour_of(list(PEERS).index(name)),
            "linewidth": 3 if name == OURS else 1.2,
            "marker": ".",
        }
        medians = {
            nbytes: table.median(name)
            for nbytes, table in by_size.items()
            if table.samples.get(name)
        }
        if not medians:
            continue
        milliseconds = [1000 * seconds for seconds in medians.values()]
        times.plot(list(medians), milliseconds, label=name, **style)
        relative = {
            nbytes: ratio.median
            for nbytes in medians
            if by_size[nbytes].samples.get(PLAIN)
            and (ratio := by_size[nbytes].ratio(name, PLAIN))
        }
        ratios.plot(list(relative), list(relative.values()), **style)
    for panel in column:
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.grid(alpha=0.3)
    times.set_title(f"Pool.apply, {what}")
    times.set_ylabel("ms per call (median)")
    ratios.set_ylabel(f"ratio to {PLAIN}")
    ratios.set_xlabel("bytes of the array")
