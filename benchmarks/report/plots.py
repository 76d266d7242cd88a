"""The plots, as SVG that can be read on white and on dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..harness.quantities import quantity
from ..harness.results import Result, Results
from ..passing.calls import ARGUMENT, BOTH, LARGEST, SIZES, table_name
from ..passing.contenders import BY_HAND, MEMCPY, OURS, PLAIN
from ..topics import many

PASSING = "passing.svg"
MANY = "many.svg"

# Of equal contrast to white and to black; colour-blind people can tell most of them
# apart, which are from Okabe and Ito.
_GREY = "#808080"
_COLOURS = {
    OURS: "#d55e00",
    PLAIN: "#2f86c4",
    MEMCPY: _GREY,
    BY_HAND: "#009e73",
    "SharedArray": "#cc79a7",
    "joblib": "#d89000",
    "torch.multiprocessing": "#9467bd",
    "tensordict": "#c5a3e0",
    "shm-ring-buffer": "#56b4e9",
    "ray": "#a6761d",
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sharray",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _GREY,
    "text.color": _GREY,
    **{f"axes.{one}color": _GREY for one in ("edge", "label", "title")},
    **{f"{axis}tick.color": _GREY for axis in "xy"},
}


def can_draw(results: Results) -> bool:
    """Return whether the results have more than one size of arrays."""
    return all(len(_by_size(results, what)) > 1 for what in (ARGUMENT, BOTH))


def can_draw_many(results: Results) -> bool:
    """Return whether the results have costs by the number of arrays."""
    return any(many.TABLES.match(table.name) for table in results.tables)


def draw(results: Results, directory: Path) -> None:
    """Write the plots into a directory for which there are enough results."""
    if can_draw(results):
        with _figure(directory / PASSING, 2) as panels:
            for panel, what in zip(panels, (ARGUMENT, BOTH), strict=True):
                _draw_panel(panel, what, _by_size(results, what))
            panels[0].set_ylabel("median time of a call")
    if can_draw_many(results):
        with _figure(directory / MANY, 1) as panels:
            _draw_many(panels[0], results)


@contextmanager
def _figure(path: Path, count: int) -> Iterator[Any]:
    """Yield panels beside each other, and write them with a legend."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4 + 4 * count, 6), layout="constrained")
        panels = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        yield panels
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside right center",
            frameon=False,
        )
        # Neither date nor random names, so that equal results make equal files.
        figure.savefig(path, transparent=True, metadata={"Date": None})


def _draw_many(panel: Any, results: Results) -> None:
    """Draw what an operation takes over the number of other arrays."""
    for table in results.tables:
        if found := many.TABLES.match(table.name):
            rows = [row for row in table.rows if row.found is not None]
            panel.plot(
                [many.count_of(row.name) for row in rows],
                [row.found.median for row in rows if row.found is not None],
                label=found["what"],
                marker="o",
                markersize=3,
            )
    _set_logarithmic(panel)
    panel.set_xlabel("other arrays that live in the process")
    panel.set_ylabel("median time")


def _by_size(results: Results, what: str) -> dict[int, Result]:
    found = {table.name: table for table in results.tables}
    names = {nbytes: table_name(what, nbytes) for nbytes in [*SIZES, *LARGEST]}
    return {
        nbytes: found[names[nbytes]]
        for nbytes in sorted(names)
        if names[nbytes] in found
    }


def _draw_panel(panel: Any, what: str, tables: dict[int, Result]) -> None:
    # A dictionary, as sets have no order.
    for name in dict.fromkeys(row.name for one in tables.values() for row in one.rows):
        _draw_line(panel, name, tables)
    _set_logarithmic(panel)
    panel.set_title(f"Pool.apply, {what}")
    panel.set_xlabel("size of the array")
    panel.xaxis.set_major_formatter(lambda size, _: quantity(size, "B"))


def _set_logarithmic(panel: Any) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(lambda seconds, _: quantity(seconds, "s"))
    panel.grid(alpha=0.25)


def _draw_line(panel: Any, name: str, tables: dict[int, Result]) -> None:
    medians = {
        nbytes: row.found.median
        for nbytes, table in tables.items()
        for row in table.rows
        if row.name == name and row.found is not None
    }
    if not medians:
        return
    panel.plot(
        list(medians),
        list(medians.values()),
        label=name,
        color=_COLOURS.get(name.partition(",")[0], _GREY),
        linewidth=3 if name == OURS else 1.4,
        # Variants of a contender have its colour.
        linestyle="--" if "," in name or name == MEMCPY else "-",
        marker="o",
        markersize=5 if name == OURS else 3,
        zorder=3 if name == OURS else 2,
    )
