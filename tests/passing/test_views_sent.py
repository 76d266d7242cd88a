"""Views of shared arrays reach workers with equal values, by every way."""

from __future__ import annotations

import pytest
import views_sent
import workers

pytestmark = pytest.mark.slow


# To start these takes seconds.
_FEW = ["dask", "joblib dask", "spawn"]


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("way", views_sent.WAYS)
def test_views_arrive_equal_and_in_place_where_promised(
    way: str, installed: bool
) -> None:
    examples = 15 if way in _FEW else 30
    workers.run_python(
        "import warnings, views_sent\n"
        "warnings.filterwarnings('ignore', '.*use of fork')\n"
        "if __name__ == '__main__':\n"
        f"    views_sent.check({way!r}, {examples}, installed={installed})\n"
    )


IMPORTS = ["import joblib, sharray as sh", "import sharray as sh; a = sh.zeros(4)"]


@pytest.mark.parametrize("imports", IMPORTS)
def test_joblib_may_be_imported_before_and_after(imports: str) -> None:
    code = f"""
{imports}
a = sh.zeros(4)
import importlib.util, joblib, numpy as np, workers
assert importlib.util.find_spec("joblib").loader.name == "joblib"
joblib.Parallel(2)([joblib.delayed(workers.add)(np.asarray(a), 1)])
assert a.tolist() == [1] * 4
"""
    workers.run_python(code)


def test_views_whose_dtype_a_handle_would_lose_are_sent_by_value() -> None:
    code = """
import joblib, ml_dtypes, numpy as np, sharray as sh
a = sh.array(np.arange(4, dtype="u2"))
odd = np.asarray(a).view(ml_dtypes.bfloat16)
noted = np.asarray(a).view(np.dtype("u2", metadata={"unit": "m"}))
found = joblib.Parallel(2)([joblib.delayed(np.copy)(x) for x in (odd, noted)])
assert found[0].dtype == odd.dtype and found[0].tobytes() == odd.tobytes()
assert found[1].tolist() == [0, 1, 2, 3]
"""
    workers.run_python(code)


def test_joblib_of_another_make_is_told_and_stays_usable() -> None:
    code = """
import joblib, joblib._memmapping_reducer as reducer, warnings
del reducer.ArrayMemmapForwardReducer
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    import sharray
assert "pass the shared arrays themselves" in str(found[0].message)
"""
    workers.run_python(code)


def test_libraries_that_are_not_there_stay_so() -> None:
    code = """
import sys, sharray
from sharray.integrations.importing import when_imported
when_imported("no_such_library", "sharray.integrations.joblib")
try:
    import no_such_library
except ModuleNotFoundError as error:
    assert error.name == "no_such_library"
"""
    workers.run_python(code)
