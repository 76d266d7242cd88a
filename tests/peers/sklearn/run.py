"""Run scikit-learn in two processes on shared arrays, and compare with plain ones.

A program: ``python -m peers.sklearn.run [--all]``, in tests. Everything in `work` gets
the same values in each form in which a shared array can be an input, and must find
the same numbers. With ``--all``, tests of scikit-learn's own that use several
processes run as well, with what they make shared.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy.sparse
import sklearn
from sklearn.datasets import make_regression
from sklearn.exceptions import ConvergenceWarning

import sharray as sh

from ..inputs import compare
from .work import DENSE_ONLY, WORK

MODULES = [
    "ensemble/tests/test_bagging.py",
    "inspection/tests/test_permutation_importance.py",
    "model_selection/tests/test_search.py",
    "tests/test_multiclass.py",
    "tests/test_multioutput.py",
]
EXPECTED: dict[str, str] = {}
Form = Callable[[np.ndarray[Any, Any]], Any]


def _file(values: np.ndarray[Any, Any], mode: str, order: str) -> Any:
    path = Path(tempfile.mkdtemp(dir=DIRECTORY.name), "x.npy")
    array = sh.create(path, values.shape, order=order)
    if mode == "c":
        array = sh.open(path, "c")
    array[...] = values
    return sh.open(path, "r") if mode == "r" else array


def _fortran(values: np.ndarray[Any, Any]) -> Any:
    array = sh.empty(values.shape, order="F")
    array[...] = values
    return array


def _columns(values: np.ndarray[Any, Any]) -> Any:
    wide = sh.zeros((values.shape[0], 2 * values.shape[1]))
    wide[:, ::2] = values
    return np.asarray(wide)[:, ::2]


def _backwards(values: np.ndarray[Any, Any]) -> Any:
    return np.asarray(sh.array(values[::-1, ::-1]))[::-1, ::-1]


def _sparse(values: np.ndarray[Any, Any]) -> Any:
    return sh.share(scipy.sparse.csr_array(values))


DIRECTORY = tempfile.TemporaryDirectory(prefix="sharray-sklearn-")
FORMS: dict[str, Form] = {
    "shared": sh.array,
    "shared, Fortran": _fortran,
    "plain view": lambda x: np.asarray(sh.array(x)),
    "plain view, Fortran": lambda x: np.asarray(_fortran(x)),
    "plain view, transposed": lambda x: np.asarray(sh.array(x.T)).T,
    "plain view, some columns": _columns,
    "plain view, backwards": _backwards,
    "read-only file": lambda x: np.asarray(_file(x, "r", "F")),
    "private changes": lambda x: np.asarray(_file(x, "c", "F")),
    "DataFrame": lambda x: pd.DataFrame(np.asarray(_fortran(x)), copy=False),
    "sparse": _sparse,
}


def main(arguments: list[str]) -> int:
    """Compare; returns the exit status."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y = make_regression(60, 6, random_state=0)
    x[x < -1.5] = 0
    passed = failed = 0
    with joblib.parallel_config(backend="loky", max_nbytes=1):
        for name, work in WORK.items():
            want = work(x, y)
            sparse = None if name in DENSE_ONLY else work(scipy.sparse.csr_array(x), y)
            for form, make in FORMS.items():
                expected = sparse if form == "sparse" else want
                if expected is not None:
                    wrong = _problem(work, make(x), sh.array(y), x, expected)
                    passed, failed = passed + (not wrong), failed + bool(wrong)
                    if wrong:
                        print(f"DIFFERS: {name}, {form}: {wrong}", flush=True)
    if "--all" in arguments:
        package = Path(sklearn.__file__).parent
        modules = [str(package / module) for module in MODULES]
        status = compare(
            package, [*modules, "-k", "jobs or parallel or permut"], EXPECTED
        )
        failed += status
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _problem(work: Any, given: Any, y: Any, x: Any, expected: Any) -> str:
    """What is wrong with the result for an input, if anything is."""
    try:
        np.testing.assert_allclose(work(given, y), expected, rtol=1e-9, atol=1e-9)
        now = given.toarray() if scipy.sparse.issparse(given) else np.asarray(given)
        np.testing.assert_array_equal(now, x, "the input was changed")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    status = main(sys.argv[1:])
    DIRECTORY.cleanup()
    sys.exit(status)
