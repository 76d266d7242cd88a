"""Checks of the system, Python and packages."""

from __future__ import annotations

from .facts import Software
from .finding import Finding, Verdict
from .probes import Package

# What is lost without a system call that is not there.
_CALLS = {
    "pidfd_open": (Verdict.NOTE, "workers notice the end of their parent 0.2 s late"),
    "memfd_create": (Verdict.FAULT, "teams and kernels have no memory in common"),
    "F_OFD_SETLK": (Verdict.WARNING, "sharray.install() is not possible"),
}


def check_software(facts: Software) -> list[Finding]:
    """All of them."""
    return [
        check_system(facts),
        check_calls(facts),
        check_python(facts),
        *map(check_package, facts.packages),
    ]


def check_system(facts: Software) -> Finding:
    """Whether this is Linux."""
    is_linux = facts.system == "Linux"
    return Finding(
        "system",
        Verdict.OK if is_linux else Verdict.WARNING,
        f"{facts.system} {facts.release} on {facts.processor}.",
        "Linux is what sharray is tested on; elsewhere, what is missing raises "
        "an error.",
    )


def check_calls(facts: Software) -> Finding:
    """Whether the kernel has what is used."""
    missing = facts.missing_calls
    losses = [f"Without {call}, {_CALLS[call][1]}" for call in missing]
    return Finding(
        "system calls",
        max((_CALLS[call][0] for call in missing), default=Verdict.OK),
        f"Missing: {', '.join(missing)}."
        if missing
        else "pidfd_open, memfd_create and locks on open files work.",
        f"{'; '.join(losses)}. A newer kernel, or another sandbox, has them."
        if missing
        else "Workers see the end of their parent at once, teams share memory that "
        "has no name, and messages are locked by their mappings.",
    )


def check_python(facts: Software) -> Finding:
    """Whether this is CPython, and what its mmap costs."""
    version = ".".join(map(str, facts.python))
    is_cpython = facts.implementation == "CPython"
    keeps = facts.python < (3, 13)
    return Finding(
        "Python",
        Verdict.OK if is_cpython else Verdict.WARNING,
        f"{facts.implementation} {version}: a mapped array "
        f"{'keeps a' if keeps else 'needs no'} file descriptor.",
        (
            "The limit on open files limits the arrays in a process; from Python "
            "3.13 on it does not."
            if keeps
            else "The limit on open files does not limit the arrays in a process."
        )
        if is_cpython
        else "CPython is what sharray is tested with.",
    )


def check_package(package: Package) -> Finding:
    """Whether a package is there, works, and is one that sharray is made for."""
    name = package.name
    wanted = f"{name}{package.wanted}"
    install = f"python -m pip install '{wanted}'"
    why = {
        "numpy": "Shared arrays are NumPy arrays.",
        "numba": "numba compiles kernels; sharray uses parts of it that change.",
    }[name]
    if package.version is None and package.fault:
        found = f"{name} is not installed; {wanted} is expected."
        return Finding(name, Verdict.FAULT, found, why, (install,))
    if package.fault:
        found = f"{name} {package.version} cannot be imported: {package.fault}"
        return Finding(name, Verdict.FAULT, found, why, (install,))
    if not package.is_wanted:
        found = f"{name} {package.version}, expected {wanted}."
        return Finding(name, Verdict.WARNING, found, why, (install,))
    found = f"{name} {package.version or 'of unknown version'}"
    found += f", expected {wanted}." if package.wanted else "."
    return Finding(name, Verdict.OK, found, why)
