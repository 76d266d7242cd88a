"""Functions that run ``sharray`` in the tests, and start processes for it to show."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from torture.remains import wait_for_locks_of

import sharray as sh
from sharray.cli import main

TIMEOUT = 500


class Done(NamedTuple):
    """The exit status of a command, and its output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one JSON document that it printed."""
        assert self.err == ""
        return json.loads(self.out)


class _Stream(io.TextIOWrapper):
    """A stream for the output of a command."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def call(*arguments: str, columns: int | None = None) -> Done:
    """Run a command in this process; with `columns`, in a terminal of that width."""
    out, err = _Stream(is_terminal=columns is not None), _Stream(is_terminal=False)
    shown = {"COLUMNS": str(columns), "LINES": "30", "TERM": "xterm", "NO_COLOR": "1"}
    with (
        mock.patch.dict(os.environ, shown if columns else {}),
        mock.patch.object(sys, "argv", ["sharray", *arguments]),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
    ):
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code or 0
            if isinstance(code, str):  # like the interpreter
                print(code, file=err)
                code = 1
    return Done(code, out.text(), err.text())


def refusal(*arguments: str) -> str:
    """Run a command that must fail, and return its one line of error."""
    done = call(*arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("sharray: ")
    assert done.err.endswith("\n")
    assert done.err[:-1].isprintable(), "more than a line"
    return done.err


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command like a shell, in a new process."""
    return subprocess.run(
        [sys.executable, "-m", "sharray", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        **options,
    )


@contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that has run some code, and waits until the block ends."""
    code += "\nprint('ready', flush=True); import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            if child.poll() is None:
                child.communicate(timeout=TIMEOUT)


def end(child: subprocess.Popen[str]) -> None:
    """Kill a process, so that it cannot clean up."""
    child.kill()
    child.wait(TIMEOUT)
    wait_for_locks_of(child.pid)


def orphan() -> str:
    """Return the file of an anonymous array whose last holder was killed."""
    code = "import pickle, sharray as sh; a = sh.ones(1000)"
    with process(code + "; pickle.loads(pickle.dumps(a))") as child:
        [found] = [
            one
            for one in sh.list()
            if [holder.pid for holder in one.holders] == [child.pid]
        ]
        end(child)
    assert found.path is not None
    assert os.path.exists(found.path)
    return found.path
