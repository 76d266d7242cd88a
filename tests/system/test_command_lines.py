"""Command lines: what an interpreter makes of its flags is the measure."""

from __future__ import annotations

import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from sharray.system import command_lines

SHOW = "import sys; print((sys.orig_argv, sys.argv))"
FLAGS = [
    [],
    ["-B"],
    ["-IB", "-X", "utf8", "-Xdev"],
    ["-W", "ignore", "-Wdefault"],
    ["-IXutf8", "-BW", "ignore"],
    ["--check-hash-based-pycs", "never"],
]
ARGUMENTS = ["-c", "x", "--fast", "-"]


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("kind", ["script", "module", "code", "code and flag"])
def test_flags_are_told_from_what_runs_as_python_does(
    kind: str, flags: list[str]
) -> None:
    Path("train.py").write_text(SHOW)
    Path("train_module.py").write_text(SHOW)
    runs = {
        "script": ["./train.py"],
        "module": ["-m", "train_module"],
        "code": ["-c", SHOW],
        "code and flag": [f"-Bc{SHOW}"],
    }[kind]
    if kind == "module":  # isolated, Python does not look here
        flags = [flag.replace("I", "") for flag in flags]
    command = [sys.executable, *flags, *runs, *ARGUMENTS]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    words, arguments = literal_eval(done.stdout)
    option, value, rest = command_lines.parse(words)
    assert rest == arguments[1:] == ARGUMENTS
    assert (option, value) == {
        "script": ("", "./train.py"),
        "module": ("-m", "train_module"),
        "code": ("-c", SHOW),
        "code and flag": ("-c", SHOW),
    }[kind]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["/usr/bin/python3.11", "-u", "/home/me/train.py", "a b"],
            "python train.py a b",
        ),
        (["python"], "python"),
        (["python3", "-i"], "python"),
        (["python3", "-c"], "python -c "),
        (["/opt/pypy/bin/pypy3", "-"], "python -"),
        (["python3", "-m", "pytest", "-x"], "python -m pytest -x"),
        (["python3", "/venv/bin/pytest", "-x"], "pytest -x"),
        (["python3", "app/"], "app"),
        (["/usr/bin/vim", "/data/a.npy"], "vim /data/a.npy"),
        (["postgres: me/base idle"], "postgres: me/base idle"),
        ([], ""),
        ([""], ""),
    ],
)
def test_a_command_is_shown_without_directories_and_flags(
    words: list[str], expected: str
) -> None:
    assert command_lines.short(words) == expected


def test_code_is_shortened_to_one_line() -> None:
    shown = command_lines.short(["python", "-c", "import os\n\n" + "x = 1\n" * 99, "y"])
    assert shown == "python -c import os x = 1 x = 1 x = 1 x… y"


def test_of_a_process_that_has_ended_nothing_is_known() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert command_lines.words(process.pid) == []
    assert command_lines.command(process.pid) == ""
