"""The picture that the demo saves."""

from __future__ import annotations

import os

import numpy as np

from ...problem import ProblemError
from .terrain import Grid

_LONGEST_SIDE = 1200  # pixels


def check_target(path: str) -> None:
    """Refuse what `save` could not do, before the work is done."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ProblemError(
            "--save draws with matplotlib, which is not installed: "
            "pip install 'sharray[demo]'"
        ) from None
    kinds = Figure().canvas.get_supported_filetypes()
    if os.path.splitext(path)[1].lstrip(".").lower() not in kinds:
        raise ProblemError(
            f"cannot save a picture as {path!r}: expected a name that ends in one of "
            f"{', '.join(sorted(kinds))}"
        )
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise ProblemError(f"cannot save a picture as {path!r}: no such directory")


def save(path: str, elevation: Grid, shade: Grid) -> None:
    """Draw a terrain, coloured by elevation and darkened where there is no light."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    height, light = _stretch(_reduce(elevation)), _stretch(_reduce(shade))
    colours = colormaps["gist_earth"](0.25 + 0.7 * height)[..., :3]
    colours = np.nan_to_num(colours * (0.25 + 0.75 * light)[..., None])
    rows, columns = (max(1, n * _LONGEST_SIDE // max(shade.shape)) for n in shade.shape)
    figure = Figure(figsize=(columns / 100, rows / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(colours, interpolation="hanning", aspect="auto")
    figure.savefig(path)


def _reduce(values: Grid) -> Grid:
    """The means of blocks that are not much smaller than a pixel of the picture."""
    step = max(1, max(values.shape) // _LONGEST_SIDE)
    height, width = (min(step, n) for n in values.shape)
    rows, columns = values.shape[0] // height, values.shape[1] // width
    blocks = values[: rows * height, : columns * width]
    means: Grid = blocks.reshape(rows, height, columns, width).mean(axis=(1, 3))
    return means


def _stretch(values: Grid) -> Grid:
    """Bring values to 0 to 1, outliers at either end cut off."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return values
    low, high = np.percentile(finite, (1, 99))
    stretched: Grid = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return stretched
