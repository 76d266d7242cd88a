"""Execute notebooks from clean kernels, and keep their outputs.

    python notebooks/execute.py                       # all of them, in place
    python notebooks/execute.py 2 5                   # those with these numbers
    python notebooks/execute.py --output DIRECTORY    # leave these as they are

Notebooks of the same number, 3a and 3b, run at the same time. Needs what
``pip install '.[test]'`` installs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

HERE = Path(__file__).parent
SECONDS_PER_CELL = 120

# A kernel that is asked to end waits for its children, and multiprocessing's trackers
# wait for it: Jupyter would kill it, and it could not let go of its arrays.
END_TRACKERS = """
import sys
for package in "multiprocessing", "joblib.externals.loky.backend":
    tracker = sys.modules.get(f"{package}.resource_tracker")
    if tracker is not None:
        tracker._resource_tracker._stop()
"""


async def execute(path: Path, target: Path, ram: str) -> None:
    """Execute one notebook; what is kept tells neither when nor where it ran."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as place:
        # Sockets by name, since another process could take a port that was free before.
        transport = {"transport": "ipc", "ip": f"{place}/kernel"}
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=SECONDS_PER_CELL,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": place}},
            config=Config({"KernelManager": transport}),
        )
        environment = {
            "SHARRAY_RAM_DIR": ram,
            "IPYTHONDIR": place,  # without the settings of who runs this
            # joblib leaves its folders to its tracker, which calls them leaked.
            "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
        }
        async with client.async_setup_kernel(env=os.environ | environment):
            for number, cell in enumerate(notebook.cells):
                await client.async_execute_cell(cell, number)
            await client.kc.execute(END_TRACKERS, silent=True, reply=True)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(notebook, target)


async def execute_together(paths: list[Path], directory: Path) -> None:
    """Execute notebooks at the same time, since they work on the same arrays.

    They see no other arrays in RAM: the user may be running these notebooks, too.
    """
    parent = os.environ.get("SHARRAY_RAM_DIR", "/dev/shm")
    # The last workers may still be removing files.
    with TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as ram:
        async with asyncio.TaskGroup() as tasks:
            for path in paths:
                tasks.create_task(execute(path, directory / path.name, ram))


def main() -> None:
    """Execute the notebooks that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("numbers", nargs="*", help="of notebooks; all without")
    parser.add_argument("--output", type=Path, default=HERE, metavar="DIRECTORY")
    options = parser.parse_args()
    notebooks = sorted(HERE.glob("*.ipynb"))
    for number, paths in groupby(notebooks, lambda path: path.name[0]):
        if options.numbers and number not in options.numbers:
            continue
        together = list(paths)
        print(*(path.stem for path in together), file=sys.stderr)
        try:
            asyncio.run(execute_together(together, options.output))
        except* CellExecutionError as failed:
            sys.exit("\n".join(str(error) for error in failed.exceptions))


if __name__ == "__main__":
    main()
