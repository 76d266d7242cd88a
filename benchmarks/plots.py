"""Plots of the results, as SVG that can be read on white and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .formats import in_words, is_same, quantity
from .passing import ARGUMENT, BOTH, LARGEST, SIZES, table_name
from .passing_peers import BY_HAND, MEMCPY, OURS, PLAIN
from .results import Result, Results
from .summary import verdicts

PASSING = "passing.svg"
RATIOS = "ratios.svg"

# Of equal contrast to white and to black; the others can be told apart by colour-blind
# people (most are Okabe's and Ito's), and have their names beside them.
_GREY = "#808080"
_LESS, _MORE = "#2f86c4", "#d55e00"
_COLOURS = {
    OURS: "#d55e00",
    PLAIN: "#2f86c4",
    MEMCPY: _GREY,
    BY_HAND: "#009e73",
    "SharedArray": "#cc79a7",
    "joblib": "#d89000",
    "torch.multiprocessing": "#9467bd",
    "ray": "#a6761d",
    "py-sharedmemory": "#4fb3d9",
}
_TICKS = [(10.0**power, quantity(10.0**power, "s")) for power in range(-7, 3)]
_APART = 0.048  # of the height of a panel, that labels are


def drawn(results: Results) -> list[str]:
    """The names of the plots that there can be."""
    enough = [len(_by_size(results, what)) > 1 for what in (ARGUMENT, BOTH)]
    return [
        *([PASSING] if all(enough) else []),
        *([RATIOS] if verdicts(results) else []),
    ]


def draw(results: Results, directory: Path) -> None:
    """Write those plots there."""
    drawing = {PASSING: _draw_passing, RATIOS: _draw_ratios}
    for name in drawn(results):
        with _figure() as make:
            figure = drawing[name](results, make)
            # Neither date nor random names, so that equal results make equal files.
            figure.savefig(directory / name, transparent=True, metadata={"Date": None})


@contextmanager
def _figure() -> Iterator[Any]:
    """What makes a figure, while the style of it holds."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "sharray",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor"),
            _GREY,
        ),
        **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), _GREY),
    }
    with mpl.rc_context(style):
        yield Figure


# -- passing, over sizes -----------------------------------------------------


def _by_size(results: Results, what: str) -> dict[int, Result]:
    found = {table.name: table for table in results.tables}
    names = {nbytes: table_name(what, nbytes) for nbytes in [*SIZES, *LARGEST]}
    return {
        nbytes: found[names[nbytes]]
        for nbytes in sorted(names)
        if names[nbytes] in found
    }


def _draw_passing(results: Results, make: Any) -> Any:
    figure = make(figsize=(12, 6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, what in zip(panels, (ARGUMENT, BOTH), strict=True):
        tables = _by_size(results, what)
        ends = [end for name in _names(tables) if (end := _line(panel, name, tables))]
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_title(f"Pool.apply, {what}")
        panel.set_xlabel("size of the array")
        sizes = [size for size in (1e3, 1e6, 1e9) if size <= max(tables)]
        panel.set_xticks(sizes, [quantity(size, "B") for size in sizes])
        panel.set_xticks([1e4, 1e5, 1e7, 1e8], [""] * 4, minor=True)
        panel.set_xlim(min(tables) / 1.5, max(tables) * 1.2)
        panel.grid(alpha=0.25)
        _label(panel, ends)
    low, high = panels[0].get_ylim()
    shown = [tick for tick in _TICKS if low <= tick[0] <= high]
    panels[0].set_yticks(*zip(*shown, strict=True))
    panels[0].set_ylabel("median time of a call")
    return figure


def _names(tables: dict[int, Result]) -> list[str]:
    # A dictionary, as sets have no order.
    return [*dict.fromkeys(row.name for one in tables.values() for row in one.rows)]


def _line(panel: Any, name: str, tables: dict[int, Result]) -> tuple[float, str] | None:
    """Draw a contender; returns where its line ends."""
    medians = {
        nbytes: row.found.median
        for nbytes, table in tables.items()
        for row in table.rows
        if row.name == name and row.found is not None
    }
    if not medians:
        return None
    panel.plot(
        list(medians),
        list(medians.values()),
        color=_colour(name),
        linewidth=3 if name == OURS else 1.4,
        linestyle="--" if "," in name or name == MEMCPY else "-",
        marker="o",
        markersize=5 if name == OURS else 3,
        zorder=3 if name == OURS else 2,
    )
    largest = max(medians)
    # A line that ends early is labelled where it would go on to.
    return medians[largest] * max(tables) / largest, name


def _colour(name: str) -> str:
    """Variants of the same have the same."""
    return _COLOURS.get(name, _COLOURS.get(name.partition(",")[0], _GREY))


def _label(panel: Any, ends: list[tuple[float, str]]) -> None:
    """Write the names beside the ends of the lines, but not over each other."""
    low, high = (math.log(limit) for limit in panel.get_ylim())
    heights = [(math.log(end) - low) / (high - low) for end, _ in sorted(ends)]
    for (_, name), height in zip(sorted(ends), _spread_out(heights), strict=True):
        panel.annotate(
            name,
            (1.02, height),
            xycoords=panel.transAxes,
            color=_colour(name),
            fontweight="bold" if name == OURS else "normal",
            verticalalignment="center",
            annotation_clip=False,
        )


def _spread_out(heights: list[float]) -> list[float]:
    """The same, in order, but apart from each other, and the last not above 1."""
    found: list[float] = []
    for height in heights:
        found.append(max(height, found[-1] + _APART) if found else height)
    limit = 1.0
    for index in reversed(range(len(found))):
        found[index] = min(found[index], limit)
        limit = found[index] - _APART
    return found


# -- every table, as a ratio -------------------------------------------------


def _draw_ratios(results: Results, make: Any) -> Any:
    found = verdicts(results)
    figure = make(figsize=(11, 1.2 + 0.27 * len(found)), layout="constrained")
    panel = figure.subplots()
    ratios = [one.ratio for one in found]
    panel.barh(
        [f"{one.task}" for one in found],
        [ratio - 1 for ratio in ratios],
        left=1,
        height=0.6,
        color=[_MORE if ratio > 1 else _LESS for ratio in ratios],
    )
    for place, one in enumerate(found):
        # On the side where the bar is not.
        aside, alignment = (-6, "right") if one.ratio > 1 else (6, "left")
        joint = "as" if is_same(one.ratio) else "than"
        words = f"{in_words(one.ratio, one.table.unit)} {joint} {one.peer}"
        panel.annotate(
            words,
            (1, place),
            xytext=(aside, 0),
            textcoords="offset points",
            horizontalalignment=alignment,
            verticalalignment="center",
            fontsize=9,
        )
    panel.axvline(1, color=_GREY, linewidth=1)
    panel.set_ylim(len(found) - 0.5, -0.5)  # the first at the top
    panel.set_xscale("log")
    # So wide that there is room for the words.
    low = min(1 / 100, min(ratios) / 2)
    high = max(100, max(ratios) * 2, low**-0.95)
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    panel.set_xlim(low, high)
    # Names beside each other, and 1 among them.
    shown = [power for power in powers if len(powers) < 6 or power % 2 == 0]
    panel.set_xticks([10.0**power for power in shown], [*map(_power, shown)])
    panel.minorticks_off()
    panel.set_xlabel("median of sharray / median of the best peer (left: sharray wins)")
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", alpha=0.25)
    return figure


def _power(of_ten: int) -> str:
    return f"{10**of_ten:,}" if of_ten >= 0 else f"1/{10**-of_ten:,}"
