"""Features that all commands of ``sharray`` share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli_tools import TIMEOUT, call, refusal, run

import sharray as sh
from sharray.cli.output import age, size

COMMANDS = ["ls", "info", "verify", "rm", "gc", "top", "tail", "doctor", "demo"]


def test_the_help_lists_all_commands() -> None:
    shown = call("--help").out
    listed = shown.partition("Commands:")[2].split("\n")
    assert [line.split()[0] for line in listed if line[:3].strip()] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_and_refuses_what_it_does_not_know(
    command: str,
) -> None:
    done = call(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: sharray {command} [OPTIONS]")
    done = call(command, "--nonsense")
    assert (done.code, done.out) == (2, "")
    assert "--nonsense" in done.err
    assert "Traceback" not in done.err


def test_the_version_is_shown() -> None:
    assert call("--version").out == f"sharray {sh.__version__}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    done = call("nonsense")
    assert (done.code, done.out) == (2, "")
    assert "nonsense" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls", "nowhere"),
        ("ls", "--json", "shm://../x"),
        ("info", "nowhere"),
        ("info", "--json", "shm:x"),
        ("rm", "nowhere"),
        ("tail", "nowhere"),
        ("rm", "nowhere*"),
    ],
)
def test_errors_are_one_line_also_where_json_is_wanted(
    arguments: tuple[str, ...],
) -> None:
    refusal(*arguments)


@pytest.mark.parametrize(
    "arguments", [("ls",), ("gc",), ("top", "--once"), ("verify", "shm://a")]
)
def test_a_ram_directory_that_is_not_there_is_told_of_in_one_line(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SHARRAY_RAM_DIR", os.path.abspath("nowhere"))
        done = call(*arguments)
    assert done.code == 1
    assert "SHARRAY_RAM_DIR" in done.out + done.err


def test_a_reader_that_has_gone_is_no_error_to_tell_of() -> None:
    np.save("a.npy", np.zeros(3))
    for command in ("ls .", "info a.npy", "verify a.npy --json", "--help"):
        line = (
            f'{sys.executable} -m sharray {command} | true; echo "${{PIPESTATUS[0]}}"'
        )
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, timeout=TIMEOUT
        )
        assert done.stderr == "", command
        # Who is quick enough has not noticed.
        assert done.stdout in ("0\n", "1\n"), command


def test_ctrl_c_ends_a_command_quietly() -> None:
    code = """
import os, signal, sys
import sharray
def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
sharray.list = interrupt
sys.argv = ["sharray", "ls"]
from sharray.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "")
    assert "Traceback" not in done.stderr


def test_only_what_a_command_needs_is_imported() -> None:
    code = """
import sys
sys.argv = ["sharray", "ls"]
from sharray.cli import main
try:
    main()
finally:
    heavy = ("numba", "matplotlib", "multiprocessing")
    heavy += ("sharray.cli.commands.demo",)
    print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_command_lines_libraries(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from sharray.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "ls"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"sharray: the command line needs {missing}, which is not installed: "
        "pip install 'sharray[cli]'\n"
    )


def test_output_that_is_not_utf_8_has_escapes_and_json_is_ascii() -> None:
    np.save("ж.npy", np.zeros(3))
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = run("ls", ".", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u0436.npy" in done.stdout
    done = run("ls", ".", "--json", env=environment)
    assert json.loads(done.stdout)[0]["path"] == os.path.abspath("ж.npy")


# -- completion ----------------------------------------------------------------

TRY = """
source <(_SHARRAY_COMPLETE=source_bash sharray)
for line in "$@"; do
    read -ra COMP_WORDS <<< "$line"
    [[ "$line" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    _sharray_completion sharray
    echo "${COMPREPLY[*]}"
done
"""


def complete(*lines: str) -> list[list[str]]:
    """Return bash's completions of lines, which have blanks between bash's words."""
    scripts = os.path.dirname(sys.executable)
    done = subprocess.run(
        ["bash", "--norc", "-c", TRY, "bash", *lines],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_completes_commands_options_and_names_in_ram() -> None:
    for name in ("run7/a", "run7/b", "x"):
        sh.create(f"shm://{name}", 3)
    np.save("field.npy", np.zeros(3))
    ours = ["shm://run7/a", "shm://run7/b", "shm://x"]
    assert complete(
        "sharray ",
        "sharray info ",
        # bash makes three words of shm://run, and completes the last.
        "sharray info shm : //run",
        "sharray rm shm : //x shm : //run7/b",
        "sharray ls --sort r",
    ) == [
        COMMANDS,
        [*ours, "field.npy"],
        ["//run7/a", "//run7/b"],
        ["//run7/b"],
        ["resident"],
    ]
    for name in ours:
        sh.unlink(name)


# -- words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nbytes", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2 - 100 * 1024, "924.0 KiB"),
        (5 * 1024**6, "5.0 EiB"),
        (5000 * 1024**6, "5000.0 EiB"),
        (None, "-"),
    ],
)
def test_sizes_are_in_binary_units(nbytes: int | None, expected: str) -> None:
    assert size(nbytes) == expected


def test_the_age_of_what_comes_from_the_future_is_nothing() -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    assert age(now + timedelta(hours=1)) == "0 s"
    assert age(now - timedelta(minutes=5, seconds=30)) == "5 min"
    assert age(now - timedelta(days=400)) == "400 d"
    assert age(None) == "-"
