"""Functions that run when an object is freed, interrupted at each point."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from interrupting import Interrupted, interrupt_everywhere

from sharray.system import finalizing, interrupts


class Mortal:
    pass


def mortal(act: Callable[[], Any]) -> Mortal:
    made = Mortal()
    with interrupts.deferred():
        finalizing.at_death(made, act)
    return made


@pytest.mark.parametrize("argument", [7, "", 0, ()])
def test_an_act_may_have_an_argument(argument: object) -> None:
    done: list[object] = []
    made = Mortal()
    with interrupts.deferred():
        finalizing.at_death(made, done.append, argument)
    del made
    assert done == [argument]


def test_each_act_is_done_once_wherever_its_object_is_interrupted() -> None:
    def call() -> None:
        living.clear()
        os.getpid()  # where what came in the finalizer arrives

    def check(outcome: Interrupted) -> None:
        finalizing.act_for_the_dead()
        assert done == ["act"]
        assert outcome.raised or outcome.dropped
        done.clear()
        living.append(mortal(lambda: done.append("act")))

    done: list[str] = []
    before = len(finalizing._watched)
    living = [mortal(lambda: done.append("act"))]
    interrupt_everywhere(call, check)
    living.clear()
    assert not finalizing._dead
    assert len(finalizing._watched) == before


def test_an_interrupt_while_the_act_is_done_arrives_after_it() -> None:
    def call() -> None:
        living.clear()
        os.getpid()

    def act() -> None:
        finalizing._thread.interrupt_main()
        done.append(interrupts.is_waiting())

    done: list[bool] = []
    living = [mortal(act)]
    with pytest.raises(KeyboardInterrupt):
        call()
    assert done == [True]


def test_what_an_interrupt_has_left_is_done_with_the_next_death() -> None:
    done: list[str] = []
    first = mortal(lambda: done.append("first"))
    death = list(finalizing._watched.values())[-1]
    # As if the other callback had been interrupted at its start.
    finalizing._note(death)
    second = mortal(lambda: done.append("second"))
    del second
    assert done == ["first", "second"]
    del first
    finalizing._dead.clear()


def test_objects_that_die_in_acts_and_in_other_threads() -> None:
    def act() -> None:
        done.append("outer")
        inner.clear()

    before = len(finalizing._watched)
    done: list[str] = []
    inner = [mortal(lambda: done.append("inner"))]
    outer = [mortal(act)]
    thread = threading.Thread(target=outer.clear)
    thread.start()
    thread.join()
    assert done == ["outer", "inner"]
    assert len(finalizing._watched) == before


def test_a_forked_child_acts_for_its_own_copies() -> None:
    done: list[str] = []
    made = mortal(lambda: done.append("act"))
    child = os.fork()
    if child == 0:
        del made
        os._exit(0 if done == ["act"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert done == []
    del made
    assert done == ["act"]
