"""Differences from other subclasses that are meant, by their reason.

A name without parameters stands for the test with all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

ACCEPTED: dict[str, tuple[str, ...]] = {
    "results of computations are plain arrays": (
        "lib/tests/test_arraysetops.py::TestUnique::test_unique_1d",
        "lib/tests/test_arraysetops.py::TestUnique::test_unique_zero_sized",
        "linalg/tests/test_linalg.py::TestQR::test_qr_empty",
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
