"""Other libraries compute the same from shared arrays as from ordinary ones."""

from __future__ import annotations

import warnings

import pytest
from peers.ecosystem import calls as ecosystem


@pytest.mark.parametrize("library", ecosystem.LIGHT)
def test_calls_give_what_they_give_for_ordinary_arrays(library: str) -> None:
    calls = len(ecosystem.CALLS[library])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their imports
        equal = list(ecosystem.compare(library))
    assert len(equal) == calls * len(ecosystem.KINDS) * len(ecosystem.LAYOUTS)
