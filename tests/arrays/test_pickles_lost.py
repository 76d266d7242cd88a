"""A program that ends is told of pickles of its arrays that nobody has opened."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from repository import PYTHON_PATH, ROOT

import sharray as sh

IMPORTS = """
import multiprocessing, os, pickle, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np, sharray as sh
"""


def run(body: str, *options: str) -> str:
    """What a program writes to stderr; it must end well."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    Path("program.py").write_text(f"{IMPORTS}if __name__ == '__main__':\n{lines}")
    done = subprocess.run(
        [sys.executable, *options, "program.py"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def check_warning(said: str, *words: str) -> None:
    assert said.count("RuntimeWarning") == 1
    assert "Traceback" not in said
    for word in (*words, "never opened", "a.copy()", "sharray.create"):
        assert word in said


def test_pickle_that_was_kept_is_told_with_dtype_and_shape() -> None:
    said = run("a = sh.ones((5, 3), 'f4')\nmessage = pickle.dumps({'a': a[1:]})")
    check_warning(said, "an array", "float32 of shape (5, 3)")


def test_array_that_was_dropped_before_is_told_too() -> None:
    said = run("with open('a.pkl', 'wb') as file: pickle.dump(sh.ones(7), file)")
    check_warning(said, "float64 of shape (7,)")
    with pytest.raises(sh.ArrayGoneError), open("a.pkl", "rb") as file:
        pickle.load(file)


def test_many_are_told_once_with_their_number() -> None:
    check_warning(run("for i in range(30): pickle.dumps(sh.ones(i + 1))"), "30 arrays")


def test_object_made_by_share_is_told() -> None:
    body = "import cloudpickle\ncloudpickle.dumps(sh.share([np.ones(3), np.ones(4)]))"
    check_warning(run(body), "an array")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pickle_that_a_worker_has_kept_is_told_at_the_end(method: str) -> None:
    check_warning(
        run(f"""
a = sh.ones(3)
with ProcessPoolExecutor(1, multiprocessing.get_context({method!r})) as workers:
    assert len(workers.submit(pickle.dumps, a).result()) > 100
"""),
        "float64 of shape (3,)",
    )


def test_pickle_that_a_forked_child_has_kept_is_told_at_the_end() -> None:
    body = """
a = sh.ones(3)
pickle.loads(pickle.dumps(a))
if not (pid := os.fork()):
    pickle.dumps(a)
    os._exit(0)
os.waitpid(pid, 0)
"""
    check_warning(run(body), "float64 of shape (3,)")


def test_warnings_that_are_errors_do_not_raise_at_the_end() -> None:
    said = run("a = sh.ones(3)\npickle.dumps(a)", "-W", "error")
    check_warning(said, "float64 of shape (3,)")


def test_program_without_stderr_ends_well() -> None:
    body = "a = sh.ones(3)\npickle.dumps(a)\nsys.stderr = None"
    assert run(body) == run(body, "-W", "error") == ""


QUIET = {
    "opened here": "pickle.loads(pickle.dumps(a))",
    "opened elsewhere": """
code = "import sys, pickle; pickle.load(sys.stdin.buffer)"
subprocess.run([sys.executable, "-c", code], input=pickle.dumps(a), check=True)
""",
    "a file with a name": "b = sh.create('b.npy', 3)\npickle.dumps(b)",
    "a file that was opened": "pickle.dumps(sh.open('made.npy', 'c'))",
    "values": "pickle.dumps(np.asarray(a)), pickle.dumps(sh.unshare(a)), a.dumps()",
    "queue never read": """
q = multiprocessing.Queue()
q.put(a)
q.close()
q.join_thread()
""",
    "pipe never read": "r, w = multiprocessing.Pipe()\nw.send(a)",
    "pool terminated": """
pool = multiprocessing.get_context("fork").Pool(1)
pool.map_async(os.path.basename, ["x"] * 3)
pool.map_async(print, [a] * 1000, chunksize=1)
pool.terminate()
pool.join()
""",
    "message never read": "sh.install(threshold=0)\n"
    "r, w = multiprocessing.Pipe()\nw.send([a, np.ones(1000)])",
    "joblib pool terminated": """
import joblib
from joblib.pool import MemmappingPool
pool = MemmappingPool(1)
pool.map_async(np.sum, [a, np.asarray(a)] * 1000, chunksize=1)
pool.terminate()
""",
    "loky killed": """
import loky
executor = loky.ProcessPoolExecutor(1)
futures = [executor.submit(np.sum, a) for _ in range(100)]
executor.shutdown(kill_workers=True)
""",
    "joblib hash": "import joblib\njoblib.hash(a), joblib.hash([np.asarray(a)])",
    "dask's name": "import dask.base\ndask.base.tokenize({'a': a})",
    "used by a team": """
@sh.kernel
def add(x):
    for i in range(x.shape[0]):
        x[i] += 1
sh.run(add, a)
""",
}


@pytest.mark.parametrize("case", QUIET)
def test_nothing_is_told_of_what_is_not_kept(case: str) -> None:
    sh.create("made.npy", 3)
    quiet = ("-W", "ignore::DeprecationWarning", "-W", "ignore::UserWarning")
    assert run(f"a = sh.ones(3)\n{QUIET[case].strip()}", *quiet) == ""


def test_nothing_is_told_while_another_process_has_the_array() -> None:
    body = """
import pickle, sys, sharray as sh
a = sh.ones(3)
for name in "sent.pkl", "kept.pkl":
    with open(name, "wb") as file: pickle.dump(a, file)
print(flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", body],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        held = pickle.loads(Path("sent.pkl").read_bytes())
        assert program.communicate()[1] == b""
    assert program.returncode == 0
    kept = pickle.loads(Path("kept.pkl").read_bytes())
    assert held.tolist() == kept.tolist() == [1, 1, 1]
