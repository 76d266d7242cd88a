"""The command ``sharray``.

One command a file or package, registered in `sharray.cli.app`.

=======================  =====================================================
module                   what it is for
=======================  =====================================================
`sharray.cli.app`          the commands, and the options of ``sharray`` itself
`sharray.cli.problem`      the error that ends a command with one line
`sharray.cli.steps`        progress bars
`sharray.cli.demo`         ``sharray demo``
=======================  =====================================================
"""

import sys

import sharray as sh

from .problem import ProblemError


def main() -> None:
    """Run the command, with errors as one line on stderr and exit status 1."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("typer", "rich"):
            raise
        sys.exit(
            f"sharray: the command line needs {missing}, which is not installed: "
            "pip install 'sharray[cli]'"
        )
    try:
        app(prog_name="sharray")
    except (ProblemError, sh.SharrayError, OSError) as error:
        sys.exit(f"sharray: {' '.join(str(error).split())}")
