"""Command lines of processes, from proc(5), and what people read in them."""

from __future__ import annotations

import contextlib
import os
import re

from ..notebook.text import cut

_PYTHON = r"(?:python|pypy)[\w.-]*"  # compiled on first use: import is faster
_LONGEST_CODE = 30


def words(pid: int) -> list[str]:
    """Return the words of a command line; none if it cannot be read."""
    with contextlib.suppress(OSError):
        line = read(pid, "cmdline").rstrip(b"\0")
        return [os.fsdecode(word) for word in line.split(b"\0")] if line else []
    return []


def command(pid: int) -> str:
    """Return the command line of a process, or its name if it has none."""
    with contextlib.suppress(OSError):
        return " ".join(words(pid)) or os.fsdecode(read(pid, "comm").strip())
    return ""


def is_python(words: list[str]) -> bool:
    """Return whether a command starts an interpreter of Python."""
    return bool(words and re.fullmatch(_PYTHON, os.path.basename(words[0])))


def parse(words: list[str]) -> tuple[str, str, list[str]]:
    """Return what an interpreter runs, without its own flags.

    Returns
    -------
    option : {'-c', '-m', ''}
    value : str
        The code, the module, or the script; empty for an interactive interpreter.
    arguments : list of str

    Examples
    --------
    >>> parse(["/usr/bin/python3", "-IW", "error", "train.py", "--fast"])
    ('', 'train.py', ['--fast'])
    """
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-") or word == "-":
            return "", word, list(rest)
        if word == "--check-hash-based-pycs":
            next(rest, "")
        letters = "" if word.startswith("--") else word[1:]
        for end, letter in enumerate(letters, 2):
            if letter in "cm":
                return f"-{letter}", word[end:] or next(rest, ""), list(rest)
            if letter in "WX":
                if not word[end:]:
                    next(rest, "")
                break
    return "", "", []


def short(words: list[str]) -> str:
    """Return a command without directories and flags of the interpreter.

    Examples
    --------
    >>> short(["/usr/bin/python3.11", "-u", "/home/me/train.py", "--fast"])
    'python train.py --fast'
    >>> short(["/usr/bin/python3", "/usr/bin/pytest", "-q"])
    'pytest -q'
    """
    if not words:
        return ""
    if not is_python(words):
        # A program may have written a sentence here: "postgres: user/base".
        first = words[0] if " " in words[0] else os.path.basename(words[0])
        return " ".join([first, *words[1:]])
    option, value, arguments = parse(words)
    if option == "-c":
        code = cut(" ".join(value.split()), _LONGEST_CODE)
        return " ".join(["python -c", code, *arguments])
    if option == "-m":
        return " ".join(["python -m", value, *arguments])
    script = os.path.basename(value.rstrip("/"))
    # pip installs commands such as "pytest" as scripts without an ending.
    is_command = script not in ("", "-") and "." not in script
    start = [script] if is_command else ["python", script]
    return " ".join([*filter(None, start), *arguments])


def read(pid: int, name: str) -> bytes:
    """Return the content of a file of /proc/pid."""
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()
