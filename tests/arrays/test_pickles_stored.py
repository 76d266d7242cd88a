"""Arrays that a notebook or program stores, and that another process loads."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import notebook_kernel
import numpy as np
import pytest
import workers
from notebook_kernel import Kernel, kernel

import sharray as sh

event_loop_of_clients = notebook_kernel.event_loop_of_clients
IMPORTS = "import os, pickle, joblib, numpy as np, sharray as sh"
REMEDIES = ("numpy.save(path, array)", "sharray.create(path, ...)", "array.copy()")


@pytest.fixture
def notebook(tmp_path: Path, _no_leaks: None) -> Iterator[Kernel]:
    with kernel() as started:
        started.run(IMPORTS)
        yield started


@pytest.mark.slow
def test_store_of_ipython_keeps_values_over_a_restart(notebook: Kernel) -> None:
    notebook.run(
        "a = sh.array(np.arange(6.0).reshape(2, 3))\n"
        "part = a[:, ::-2]\n"
        "record = sh.array(np.array([(1, 2.5)], [('x', 'i4'), ('y', 'f8')]))\n"
        "named = sh.create('n.npy', 3, fill_value=7)\n"
        "both = {'a': a, 'plain': 1}\n"
        "%store a part record named both"
    )
    notebook.restart()
    notebook.run(f"{IMPORTS}\n%store -r")
    assert notebook.value("a.tolist()") == [[0, 1, 2], [3, 4, 5]]
    assert notebook.value("part.tolist()") == [[2, 0], [5, 3]]
    assert notebook.value("record['x'].tolist(), record['y'].tolist()") == ([1], [2.5])
    assert notebook.value("named.tolist()") == [7, 7, 7]
    assert notebook.value("both['a'].tolist(), both['plain']") == (
        [[0, 1, 2], [3, 4, 5]],
        1,
    )
    assert notebook.value("type(a).__name__") == "ndarray"


@pytest.mark.slow
def test_pickles_of_a_notebook_over_a_restart(notebook: Kernel) -> None:
    notebook.run(
        "a = sh.ones(3)\n"
        "named = sh.create('n.npy', 3, fill_value=7)\n"
        "pickle.dump(a, open('a.pkl', 'wb'))\n"
        "pickle.dump(a.copy(), open('copy.pkl', 'wb'))\n"
        "pickle.dump(named[1:], open('named.pkl', 'wb'))\n"
        "joblib.dump(a, 'a.joblib')"
    )
    # In the same process it is the same memory.
    notebook.run("b = pickle.load(open('a.pkl', 'rb')); b[0] = 5")
    assert notebook.value("a.tolist()") == [5, 1, 1]
    notebook.restart()
    notebook.run(IMPORTS)
    kind, text, _ = notebook.start("pickle.load(open('a.pkl', 'rb'))").finish().error
    assert kind == "ArrayGoneError"
    for remedy in REMEDIES:
        assert remedy in text
    assert notebook.value("pickle.load(open('copy.pkl', 'rb')).tolist()") == [1, 1, 1]
    assert notebook.value("joblib.load('a.joblib').tolist()") == [1, 1, 1]
    notebook.run("named = pickle.load(open('named.pkl', 'rb')); named[0] = 9")
    assert notebook.value("np.load('n.npy').tolist()") == [7, 9, 7]


def test_a_pickle_of_a_program_that_has_ended_names_the_remedies() -> None:
    workers.run_python(
        "import pickle, warnings, sharray as sh\n"
        "warnings.simplefilter('ignore')\n"
        "pickle.dump(sh.ones(3), open('a.pkl', 'wb'))\n"
    )
    with pytest.raises(sh.ArrayGoneError) as caught:
        pickle.loads(Path("a.pkl").read_bytes())
    for remedy in REMEDIES:
        assert remedy in str(caught.value)
    assert "anonymous array 'shm://.anonymous/" in str(caught.value)


def test_a_pickle_of_a_named_array_does_not_blame_anonymity() -> None:
    sent = pickle.dumps(sh.create("a.npy", 3))
    sh.unlink("a.npy")
    with pytest.raises(sh.ArrayGoneError, match="was removed or moved after") as caught:
        pickle.loads(sent)
    assert "anonymous" not in str(caught.value)


def test_values_of_the_remedies_come_back(tmp_path: Path) -> None:
    workers.run_python(
        "import pickle, numpy as np, sharray as sh\n"
        "a = sh.ones(3)\n"
        "np.save('a.npy', a)\n"
        "with open('copy.pkl', 'wb') as file: pickle.dump(a.copy(), file)\n"
        "b = sh.create('b.npy', 3, fill_value=a)\n"
        "b.flush()\n"
    )
    assert np.load("a.npy").tolist() == sh.open("b.npy").tolist() == [1, 1, 1]
    assert pickle.loads(Path("copy.pkl").read_bytes()).tolist() == [1, 1, 1]
