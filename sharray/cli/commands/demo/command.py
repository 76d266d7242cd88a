"""``sharray demo``: real work on shared arrays, measured where it runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
import typer

import sharray as sh

from ....system.processes import count_cores
from ...output import Json, console, print_json
from ...problem import ProblemError
from . import elevation, picture, report
from .measure import SharedGrid, check, measure
from .steps import Steps, show_steps
from .terrain import Terrain

_ELEVATION, _SHADE = "elevation.npy", "hillshade.npy"
_SIZE = 6144
_TOLERANCE = 1e-5  # of a light between 0 and 1, in float32


def demo(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE.npy]",
            help="2-D array of elevations in metres, which is only read; without, "
            "a terrain that matplotlib ships, repeated.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that compute; without, one a core."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Repeat or cut the terrain to so many rows and columns; without, "
            f"{_SIZE}, or those of the file.",
        ),
    ] = None,
    cell: Annotated[
        float, typer.Option(min=0.001, help="Metres between the points of the file.")
    ] = 30,
    directory: Annotated[
        str | None,
        typer.Option(help="Create the arrays here, and keep them."),
    ] = None,
    save: Annotated[
        str | None, typer.Option(metavar="OUT.png", help="Save a picture.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Light a terrain from the whole sky, with a team of processes, on shared arrays.

    This process and its workers run a numba kernel in place on an array on the
    disk. The times of one process, of this team, and of a pool of workers to
    which the same arrays are pickled are measured and printed.
    """
    if save is not None:
        picture.check_target(save)
    source = (
        elevation.load_bundled() if file is None else elevation.load_file(file, cell)
    )
    shape = (_SIZE, _SIZE) if file is None else source.values.shape
    shape = shape if size is None else (size, size)
    with _workplace(directory) as place, show_steps() as steps:
        terrain, shade = _create_arrays(place, source, shape, steps)
        found, returned = measure(terrain, shade, workers or count_cores(), steps)
        difference, checking = check(terrain, [shade, returned], steps)
        if save is not None:
            # One copy of the terrain, not its repetitions.
            window = np.s_[: source.values.shape[0], : source.values.shape[1]]
            picture.save(save, np.asarray(terrain.elevation)[window], returned[window])
        durable = shade.durable
    if as_json:
        print_json(report.document(source.name, shape, found, durable, difference))
    else:
        screen = console()
        screen.print(report.table(source.name, shape, found))
        remarks = report.remarks(found, durable, difference, checking)
        screen.print(remarks, soft_wrap=True)
    if not difference <= _TOLERANCE:
        raise ProblemError(
            f"the result differs from that of plain NumPy by {difference:.2g}, "
            f"expected at most {_TOLERANCE}"
        )


@contextmanager
def _workplace(directory: str | None) -> Iterator[str]:
    """The given directory, or one that is gone afterwards."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="sharray-demo-") as place:
            yield place
        return
    paths = [os.path.join(directory, name) for name in (_ELEVATION, _SHADE)]
    taken = [path for path in paths if os.path.lexists(path)]
    if taken:
        raise ProblemError(
            f"{taken[0]!r} exists; remove it or choose another directory"
        )
    try:
        yield directory
    except BaseException:
        for path in filter(os.path.lexists, paths):
            os.unlink(path)
        raise


def _create_arrays(
    place: str, source: elevation.Source, shape: tuple[int, ...], steps: Steps
) -> tuple[Terrain, SharedGrid]:
    """The terrain, and an array to receive the light, both on the disk."""
    ground = sh.create(os.path.join(place, _ELEVATION), shape, "f4")
    shade = sh.create(os.path.join(place, _SHADE), shape, "f4")
    elevation.fill(ground, source, steps.add("Writing elevations", shape[0]))
    return Terrain(ground, np.float32(source.dy), np.float32(source.dx)), shade
