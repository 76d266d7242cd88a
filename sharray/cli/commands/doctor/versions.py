"""Checks of versions: sharray, Python, NumPy and numba."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform

from packaging.requirements import Requirement

import sharray as sh

from . import Finding, Verdict

_WHY = {
    "numpy": "Shared arrays are NumPy arrays.",
    "numba": "numba compiles kernels; sharray uses parts of it that change.",
}


def check_versions() -> list[Finding]:
    """Run all checks of versions."""
    supported = supported_versions()
    system, python = platform.uname(), platform.python_implementation()
    on = f"{sh.__version__}, on {system.system} {system.release} {system.machine}."
    by = f"{python} {platform.python_version()}, expected {supported['Python']}."
    return [
        check_tested("sharray", on, system.system == "Linux"),
        check_tested("Python", by, python == "CPython"),
        *(check_package(supported[name], *find_package(name)) for name in _WHY),
    ]


def supported_versions() -> dict[str, Requirement]:
    """Return the versions that sharray's metadata asks for, by name."""
    found = {name: Requirement(name) for name in ("Python", *_WHY)}
    try:
        about = importlib.metadata.metadata("sharray")
    except importlib.metadata.PackageNotFoundError:
        return found  # sharray runs from its sources
    entries = [f"Python{about['Requires-Python']}", *about.get_all("Requires-Dist", [])]
    needed = [entry for entry in map(Requirement, entries) if entry.marker is None]
    return found | {entry.name: entry for entry in needed}


def find_package(name: str) -> tuple[str, str | None]:
    """Return the version of a package, and why it cannot be imported."""
    try:
        return str(importlib.import_module(name).__version__), None
    except Exception as error:  # packages such as numba raise many types
        return "", f"{type(error).__name__}: {' '.join(str(error).split())}"


def check_tested(name: str, found: str, is_tested: bool) -> Finding:
    """Check that sharray is tested here."""
    why = "Only Linux and CPython are tested; elsewhere some features raise an error."
    return Finding(name, Verdict.OK if is_tested else Verdict.WARNING, found, why)


def check_package(supported: Requirement, version: str, fault: str | None) -> Finding:
    """Check that a package is installed, works, and has a supported version."""
    name, install = supported.name, (f"python -m pip install '{supported}'",)
    if fault:
        found = f"{name} cannot be imported: {fault}"
        return Finding(name, Verdict.FAULT, found, _WHY[name], install)
    found = f"{version}, expected {supported}."
    if supported.specifier.contains(version, prereleases=True):
        return Finding(name, Verdict.OK, found, _WHY[name])
    return Finding(name, Verdict.WARNING, found, _WHY[name], install)
