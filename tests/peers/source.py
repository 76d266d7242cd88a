"""Tests that a package ships in its source distribution only."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

# Beside the environment's packages, so that it goes when they go.
_KEPT = Path(sys.prefix, "peers")


def tests_of(package: str, directory: str) -> Path:
    """Return a directory that has the tests of the installed version of a package.

    They are downloaded once for each environment.

    Parameters
    ----------
    package : str
        Its name in the package index.
    directory : str
        Which of its directories to extract; that directory is in the one returned.
    """
    name = f"{package}-{version(package)}"
    kept = _KEPT / name
    if not (kept / directory).exists():
        _extract(_download(package, name), name, directory, kept)
    return kept


def _download(package: str, name: str) -> Path:
    """Download a source distribution; the package itself is not built."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", package, "--dest", str(_KEPT)]
    subprocess.run([*command, f"{package}=={version(package)}"], check=True)
    return _KEPT / f"{name}.tar.gz"


def _extract(archive: Path, name: str, directory: str, kept: Path) -> None:
    prefix = f"{name}/{directory}/"
    with tarfile.open(archive) as tar:
        members = [m for m in tar.getmembers() if m.name.startswith(prefix)]
        for member in members:
            member.name = member.name.removeprefix(f"{name}/")
        tar.extractall(kept, members, filter="data")
    archive.unlink()
