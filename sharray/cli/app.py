"""The commands, and the options of ``sharray`` itself."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import sharray as sh

# Modules in `.commands`. Each is imported only when its command is called, because some
# imports take a quarter of a second.
_COMMANDS = {
    "ls": "ls",
    "info": "info",
    "verify": "verify.command",
    "rm": "rm",
    "gc": "gc",
    "top": "top",
    "tail": "tail",
    "doctor": "doctor.command",
    "demo": "demo.command",
}


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f".commands.{_COMMANDS[cmd_name]}", __package__)
        examples = getattr(module, "EXAMPLES", None)
        # \b keeps the line breaks of the paragraph after it.
        epilog = None if examples is None else "\b\n" + examples.strip()
        single = _new_app()
        single.command(cmd_name, epilog=epilog)(getattr(module, cmd_name))
        return get_command(single)


def _new_app(**options: Any) -> typer.Typer:
    # Rich's markup would read [FILE] in a help text as a style.
    options = {"add_completion": False, "rich_markup_mode": None} | options
    return typer.Typer(pretty_exceptions_enable=False, **options)


app = _new_app(cls=_Commands, no_args_is_help=True, add_completion=True)


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
    """List, inspect and remove NumPy arrays that processes share.

    The arrays are memory-mapped .npy files: named files, or files in RAM (shm://).
    """
