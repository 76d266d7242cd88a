"""Differences from other subclasses that are meant, by their reason.

A name without parameters stands for the test with all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

ACCEPTED: dict[str, tuple[str, ...]] = {
    "results of computations are plain arrays, with memory of their own": (
        "_core/tests/test_numeric.py::TestClip::test_clip_complex",
        "lib/tests/test_arraysetops.py::TestUnique::test_unique_1d",
        "lib/tests/test_arraysetops.py::TestUnique::test_unique_zero_sized",
        "linalg/tests/test_linalg.py::TestQR::test_qr_empty",
    ),
    "copies are plain arrays": (
        "_core/tests/test_regression.py::TestRegression::test_deepcopy_on_0d_array",
    ),
    "a pickle is a handle, and what it gives lies in the file": (
        "_core/tests/test_multiarray.py::TestFlags::test_writeable_pickle",
    ),
    "the base is the whole file: NumPy allows strides that reach its other bytes": (
        "_core/tests/test_multiarray.py::TestAttributes::test_set_stridesattr",
    ),
    "the last base is the array of all bytes of the file": (
        "lib/tests/test_recfunctions.py::TestRecFunctions::"
        "test_structured_to_unstructured",
    ),
}

_LISTED = {f"numpy/{test}" for tests in ACCEPTED.values() for test in tests}


def sort(
    found: Mapping[str, str], differing: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return listed and unlisted differences, and what is listed and does not differ.

    Parameters
    ----------
    found : mapping
        The outcomes of all tests that ran.
    differing : mapping
        The tests that differ, with the reason.
    """
    listed = {test: why for test, why in differing.items() if _is_listed(test)}
    unlisted = {test: why for test, why in differing.items() if test not in listed}
    ran = {_without_parameters(test) for test in found} | set(found)
    differ = {_without_parameters(test) for test in listed} | set(listed)
    return listed, unlisted, sorted(_LISTED & ran - differ)


def _is_listed(test: str) -> bool:
    return test in _LISTED or _without_parameters(test) in _LISTED


def _without_parameters(test: str) -> str:
    return test.partition("[")[0]
