"""Many processes share arrays, and many of them are killed at any moment.

And the same with each safeguard of the lease protocol removed in turn: a torture
that does not notice would prove nothing.
"""

from __future__ import annotations

import pytest
from repository import PYTHON_PATH

from torture.actors import VIOLATIONS
from torture.driver import KILLS, LONGEST, RACED, RACES
from torture.mutants import BY_NAME, MUTANTS
from torture.running import run

SECONDS = 30  # at least; a busy machine takes longer to see as much


@pytest.fixture(autouse=True)
def _own_directories(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    monkeypatch.setenv("PYTHONPATH", PYTHON_PATH, prepend=":")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # no threads before a fork


@pytest.mark.torture
def test_nothing_is_lost_or_left_by_nine_hundred_kills() -> None:
    found = run("driver", str(SECONDS))
    assert found["errors"] == []
    assert {what: found[what] for what in VIOLATIONS} == dict.fromkeys(VIOLATIONS, 0)
    assert found["kills"] >= KILLS
    assert min(found[what] for what in RACES) > RACED
    assert found["outdated"] > 0


@pytest.mark.torture
@pytest.mark.parametrize("mutant", BY_NAME)
def test_the_torture_notices_when_a_safeguard_is_missing(mutant: str) -> None:
    found = run("driver", str(LONGEST), mutant)
    assert found[MUTANTS[BY_NAME[mutant]]] > 0
