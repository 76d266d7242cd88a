"""The command ``sharray``.

The command ``sharray ls`` is `sharray.cli.commands.ls`, and so on.

========================  =======================================================
module                    contents
========================  =======================================================
`sharray.cli.app`         the list of commands, the options of ``sharray`` itself
`sharray.cli.commands`    one module or package for each command
`sharray.cli.describing`  text and JSON about an array
`sharray.cli.output`      tables and JSON
`sharray.cli.completion`  array names for the shell to complete
`sharray.cli.problem`     the error that ends a command with one line
`sharray.cli.ending`      the signals that end a command
========================  =======================================================

Exit status: 0 on success; 1 if the command fails or finds damage; 2 for wrong usage;
130 after Ctrl-C.
"""

import os
import sys
from io import TextIOWrapper

import sharray as sh

from .completion import rejoin_words
from .problem import ProblemError, one_line


def main() -> None:
    """Run the command; an error becomes one line on stderr and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    rejoin_words(os.environ)
    try:
        from .app import app

        app(prog_name="sharray")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("packaging", "rich", "typer"):
            raise
        sys.exit(
            f"sharray: the command line needs {missing}, which is not installed: "
            "pip install 'sharray[cli]'"
        )
    except (ProblemError, sh.SharrayError, OSError) as error:
        sys.exit(one_line(error))
