"""Names of real processes, as they and others see them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import workers

from sharray.system import process_names
from sharray.system.process_names import identify

pytestmark = pytest.mark.slow

WAIT = "print(flush=True); import sys; sys.stdin.read()"
NAME = "from sharray.system.process_names import identify; import sys\n"
NAME += "print(*(identify(int(pid)) for pid in sys.argv[1:]), sep='\\n')"


@contextmanager
def process(*words: Any, **options: Any) -> Iterator[int]:
    """Yield the number of a process that runs Python."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, *words], **pipes, **options) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.communicate()


def seen_by_another(*pids: int) -> list[str]:
    done = workers.start_python(NAME, *map(str, pids))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def write_program(name: str) -> None:
    Path(name).write_text(WAIT)


# -- programs ----------------------------------------------------------------


def test_a_program_is_named_by_its_script() -> None:
    write_program("train.py")
    with process("-B", "-X", "utf8", os.path.abspath("train.py"), "--fast") as pid:
        assert str(identify(pid)) == f"python train.py --fast ({pid})"
        assert seen_by_another(pid) == [str(identify(pid))]


def test_only_the_one_that_asks_is_this_process() -> None:
    assert str(identify(os.getpid())) == "this process"
    [seen] = seen_by_another(os.getpid())
    assert seen.endswith(f"({os.getpid()})")


def test_a_name_that_is_kept_is_true_in_another_process() -> None:
    found = identify(os.getpid())
    with multiprocessing.get_context("fork").Pool(1) as pool:
        seen = pool.apply(str, (found,))
    assert str(found) == "this process"
    assert seen == f"{found.name} ({os.getpid()})"


def test_a_process_that_has_ended_keeps_its_number() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    assert str(identify(child.pid)) == f"process ({child.pid})"


HOSTILE = "\x1b[2J<b>\n\r\t\u202e\x9b&"


@pytest.mark.parametrize("text", [HOSTILE, b"\xff\xfe", "x" * 10_000, " " * 50])
def test_whatever_a_command_line_says_is_one_short_printable_line(text: Any) -> None:
    with process("-c", WAIT, text) as pid:
        shown = str(identify(pid))
    assert shown.isprintable()
    assert len(shown) < 80
    assert shown.startswith("python -c print(flush=True); import sys")


# -- workers -----------------------------------------------------------------


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_multiprocessing_belong_to_whom_they_work_for(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        first, second = [worker.pid for worker in pool._pool]
        pool.apply(os.getpid)  # the last argument of a fork is set before it runs this
        assert str(identify(first)) == f"worker process {first} of this process"
        [seen] = seen_by_another(first)
        assert seen == f"worker process {first} of {name_of_this()}"
        found = [identify(pid) for pid in (first, second, os.getpid())]
        assert process_names.phrases(found) == [
            "this process",
            "2 worker processes of this process",
        ]
        # A worker sees itself, and its owner, from its own side.
        assert pool.apply(name_of, (os.getpid(),)) == name_of_this()
        pool.close()
        pool.join()


def name_of(pid: int) -> str:
    return str(identify(pid))


def name_of_this() -> str:
    found = identify(os.getpid())
    return f"{found.name} ({found.pid})"


def test_a_fork_is_a_child_of_the_program() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pid = pool.apply(os.getpid)
        assert str(identify(pid)) == f"child process {pid} of this process"
        [seen] = seen_by_another(pid)
        assert seen == f"child process {pid} of {name_of_this()}"
        pool.close()
        pool.join()


def test_workers_of_loky_and_joblib_are_pool_workers() -> None:
    code = "import joblib, os\n"
    code += "from sharray.system.process_names import identify\n"
    code += "tasks = [joblib.delayed(os.getpid)() for _ in range(4)]\n"
    code += "pids = set(joblib.Parallel(2)(tasks))\n"
    code += "print(all(str(identify(pid)) == f'pool worker {pid} of this process' "
    code += "for pid in pids))"
    done = workers.start_python(code)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_a_worker_whose_owner_is_no_python_has_none() -> None:
    spawned = "from multiprocessing.spawn import spawn_main as _\n" + WAIT
    command = 'exec 3<&0; "$0" -c "$1" <&3 & wait'
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    tell = spawned.replace("print(", "import os; print(os.getpid(), ")
    with subprocess.Popen(
        ["sh", "-c", command, sys.executable, tell], **pipes
    ) as shell:
        assert shell.stdout is not None
        pid = int(shell.stdout.readline())
        assert str(identify(pid)) == f"worker process {pid}"
        shell.communicate()


# -- workers of teams, and who claims to be one ---------------------------------


def test_a_worker_is_known_by_its_arguments() -> None:
    with process("-c", WAIT, *process_names.arguments_of_worker(3, "t")) as pid:
        found = identify(pid)
        assert str(found) == "worker 3 of team t"
        assert seen_by_another(pid) == [f"worker 3 of team t of {name_of_this()}"]


def test_whatever_a_team_is_called_is_printable() -> None:
    for team in (HOSTILE, "\0", "\ud800", "ä" * 100, "日本"):
        words = process_names.arguments_of_worker(3, team)
        with process("-c", WAIT, *words, env={"LC_ALL": "C"}) as pid:
            shown = str(identify(pid))
        assert shown.isprintable()
        assert shown.startswith("worker 3 of team ")
        assert len(shown) < 100
    assert shown == "worker 3 of team 日本"


@pytest.mark.parametrize(
    "claim",
    [
        ["sharray-worker", "3", "1", "t"],
        ["sharray-worker", "x", "{parent}", "t"],
        ["sharray-worker", "3", "{parent}"],
        ["sharray-worker", "-1", "{parent}", "t"],
        ["sharray-worker", "²", "{parent}", "t"],
    ],
)
def test_who_only_claims_to_be_a_worker_is_a_program(claim: list[str]) -> None:
    words = [word.format(parent=os.getpid()) for word in claim]
    with process("-c", WAIT, *words) as pid:
        assert identify(pid).kind == process_names.PROGRAM


def test_a_number_of_any_length_does_no_harm() -> None:
    words = ["sharray-worker", "9" * 10_000, str(os.getpid()), "t"]
    with process("-c", WAIT, *words) as pid:
        assert str(identify(pid)) == "worker 999999999 of team t"


# -- notebooks ---------------------------------------------------------------


@pytest.fixture
def notebook() -> str:
    """Return a notebook, and a program that looks like its kernel."""
    write_program("ipykernel_launcher.py")
    Path("lab.ipynb").write_text("{}")
    return os.path.abspath("lab.ipynb")


def test_a_kernel_is_named_by_its_notebook(notebook: str) -> None:
    environment = os.environ | {"JPY_SESSION_NAME": notebook}
    with process("ipykernel_launcher.py", env=environment) as pid:
        shown = str(identify(pid))
        assert shown.startswith("notebook ")
        assert shown.endswith(f" (kernel {pid})")
        assert process_names._tidy(notebook) in shown


def test_a_notebook_in_the_home_directory_is_shown_from_there(
    notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", os.path.dirname(notebook))
    environment = os.environ | {"JPY_SESSION_NAME": notebook}
    with process("ipykernel_launcher.py", env=environment) as pid:
        assert str(identify(pid)) == f"notebook ~/lab.ipynb (kernel {pid})"


@pytest.mark.parametrize("path", ["", "console-1", "renamed.ipynb", "train.py"])
def test_a_kernel_whose_notebook_is_not_known_has_no_path(
    notebook: str, path: str
) -> None:
    write_program("train.py")
    environment = os.environ | {"JPY_SESSION_NAME": path}
    with process("ipykernel_launcher.py", env=environment) as pid:
        assert str(identify(pid)) == f"notebook (kernel {pid})"


def test_a_kernel_that_a_notebook_starts_is_not_taken_for_it(notebook: str) -> None:
    """As nbclient does, whose kernels inherit the variables of the notebook."""
    start = "import subprocess, sys\n"
    start += "with subprocess.Popen([sys.executable, 'ipykernel_launcher.py']) as it:\n"
    start += "    print(it.pid, flush=True)"
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"JPY_SESSION_NAME": notebook}
    command = [sys.executable, "-c", start]
    with subprocess.Popen(command, env=environment, **pipes) as outer:
        assert outer.stdout is not None
        # The second line says that the inner program runs, in any order.
        pid = int(outer.stdout.readline() + outer.stdout.readline())
        assert str(identify(pid)) == f"notebook (kernel {pid})"
        outer.communicate()
