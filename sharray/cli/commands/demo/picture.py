"""The shaded terrain as a PNG file."""

from __future__ import annotations

import os
import tempfile

from ...problem import ProblemError
from .hillshade import MODEL_SHAPE, Grid


def check_target(path: str) -> None:
    """Raise before the long work if `save` could not write there."""
    if not path.lower().endswith(".png"):
        raise ProblemError(
            f"cannot save the picture: expected a name that ends in .png, got {path!r}"
        )
    try:
        tempfile.TemporaryFile(dir=os.path.dirname(path) or ".").close()
    except OSError as error:
        raise ProblemError(
            f"cannot save the picture {path!r}: {error.strerror}; "
            "choose another directory with --save"
        ) from None


def save(path: str, elevation: Grid, light: Grid) -> None:
    """Draw the model once, without its mirror images: light below, colour above."""
    from matplotlib.figure import Figure

    model = tuple(slice(count) for count in MODEL_SHAPE)
    height, width = light[model].shape
    figure = Figure(figsize=(width * 3, height * 3), dpi=1)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(light[model], "gray", interpolation="hanning")
    axes.imshow(elevation[model], "gist_earth", alpha=0.4)
    figure.savefig(path)
