"""``sharray demo``: the command, its options and the table."""

from __future__ import annotations

import tempfile
from concurrent.futures.process import BrokenProcessPool
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from ....system.processes import count_cores
from ...output import console
from ...problem import ProblemError
from . import hillshade, picture
from .hillshade import Result, Terrain

_TOLERANCE = 1e-5  # for light between 0 and 1, in float32
_BASELINE = "kernel, one process"


def demo(
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that compute; default: one per core."),
    ] = None,
    size: Annotated[
        int, typer.Option(min=2, help="Rows and columns of the terrain.")
    ] = 4096,
    save: Annotated[
        str | None, typer.Option(metavar="OUT.png", help="Save a picture.")
    ] = None,
) -> None:
    """Shade a real terrain in place with a team of processes.

    The demo times NumPy, a numba kernel on one process, on a pool that gets the
    arrays pickled, and on a team that shares them. It compares all results with
    NumPy's. All files are temporary, except the picture.
    """
    if save is not None:
        picture.check_target(save)
    terrain = hillshade.load_terrain(size)
    try:
        results = _shade(terrain, workers or count_cores())
    except BrokenProcessPool as error:
        raise ProblemError(f"a worker process died: {error}") from error
    expected, *others = (result.light for result in results.values())
    difference = np.max([np.abs(light - expected).max() for light in others])
    screen = console()
    screen.print(_table(size, results))
    screen.print(
        "Each time is the best of three runs (NumPy: one run). All processes of the\n"
        "team map the same files. "
        f"The results differ from NumPy's by at most {difference:.1g}."
    )
    if not difference <= _TOLERANCE:
        raise ProblemError(
            f"the results differ from NumPy's: expected at most {_TOLERANCE}, "
            f"got {difference:.2g}; please report this bug"
        )
    if save is not None:
        picture.save(save, terrain.elevation, others[-1])
        screen.print(f"The team's result is drawn in {save!r}.", soft_wrap=True)


def _shade(terrain: Terrain, processes: int) -> dict[str, Result]:
    """Shade a terrain in all four ways, NumPy first and the team last."""
    waiting = Console(stderr=True).status("Shading the terrain in four ways ...")
    with waiting, tempfile.TemporaryDirectory(prefix="sharray-demo-") as directory:
        return {
            "NumPy, one process": hillshade.with_numpy(terrain),
            _BASELINE: hillshade.in_process(terrain),
            f"pool of {processes}, pickled": hillshade.in_pool(terrain, processes),
            f"team of {processes}, in place": hillshade.in_team(
                terrain, processes, directory
            ),
        }


def _table(size: int, results: dict[str, Result]) -> Table:
    title = f"Jacksboro fault: {size} x {size} points, 64 lamps"
    table = Table("", title=title, title_justify="left", title_style="bold")
    for heading in ("seconds", "speed-up", "pickled"):
        table.add_column(heading, justify="right")
    fastest = min(result.seconds for result in results.values())
    for name, (_, seconds, pickled) in results.items():
        table.add_row(
            name,
            f"{seconds:.3g}",
            f"{results[_BASELINE].seconds / seconds:.2f} x",
            decimal(pickled),
            style="bold green" if seconds == fastest else None,
        )
    return table
