"""Processes send each other arrays while many of them are killed, at any line.

And the same with each safeguard of the messages removed in turn: a torture that
does not notice would prove nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from torture.correspondents import VIOLATIONS
from torture.message_mutants import BY_NAME, MUTANTS
from torture.running import run

SECONDS = 30
LONGEST_FOR_A_MUTANT = 60


@pytest.fixture(autouse=True)
def _own_directories(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # no threads before a fork


@pytest.mark.torture
def test_no_message_is_lost_wrong_or_left_by_five_hundred_kills() -> None:
    found = run("messages", str(SECONDS))
    assert found["errors"] == []
    assert {what: found[what] for what in VIOLATIONS} == dict.fromkeys(VIOLATIONS, 0)
    assert found["kills"] >= 500
    # It has seen what there is to see, or what is above says little.
    assert min(found[what] for what in ("sent", "received", "again", "forked")) > 100


@pytest.mark.torture
@pytest.mark.parametrize("mutant", BY_NAME)
def test_the_torture_notices_when_a_safeguard_is_missing(mutant: str) -> None:
    found = run("messages", str(LONGEST_FOR_A_MUTANT), mutant)
    assert found[MUTANTS[BY_NAME[mutant]]] > 0
