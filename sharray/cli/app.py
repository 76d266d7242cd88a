"""The commands, and the options of ``sharray`` itself."""

from __future__ import annotations

from typing import Annotated

import typer

import sharray as sh

from .demo.command import demo

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.command()(demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sharray {sh.__version__}")
        raise typer.Exit


@app.callback()
def sharray(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """NumPy arrays shared between processes: plain .npy files, mapped."""
