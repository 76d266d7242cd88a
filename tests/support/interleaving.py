"""Run functions in all orders of their steps, with a bounded number of switches.

A step is an access to what the functions share: see `step`. Each function has a thread,
but only one of them runs at a time, from one step to the next. What they do depends on
the order alone, so that an order can be repeated, and be continued in another way. Most
races need one to three switches away from a thread that could go on.

Source: M. Musuvathi et al., "Finding and Reproducing Heisenbugs in Concurrent
Programs", OSDI 2008.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable
from typing import Any, NamedTuple


class Killed(BaseException):
    """Ends the thread of an actor that was killed, without a further step."""


class Choice(NamedTuple):
    """Who took a step: the number of an actor, or ~number if it was killed.

    Attributes
    ----------
    chosen, others : int, list of int
        What was done, and what could have been done.
    last : int or None
        Who took the step before, if it could have gone on.
    """

    chosen: int
    others: list[int]
    last: int | None

    def cost(self, chosen: int) -> int:
        """Return 1 for a kill, or a switch away from who could have gone on."""
        return int(chosen < 0 or self.last not in (None, chosen))


def _always() -> bool:
    return True


class Actor:
    """One of the functions.

    Parameters
    ----------
    function : callable
        What it does.
    can_start : callable, optional
        Until this returns True, it takes no step.
    at_kill : callable, optional
        What the system does when it is killed. Without, it is not killed.
    """

    def __init__(
        self,
        function: Callable[[], None],
        *,
        can_start: Callable[[], bool] = _always,
        at_kill: Callable[[], None] | None = None,
    ) -> None:
        self.at_kill = at_kill
        self.error: BaseException | None = None
        self.order: Order
        self.number = 0
        self._function = function
        self._can_go_on = can_start
        self._is_done = self._is_killed = False
        # Each is acquired by who waits, and released by the other.
        self._go, self._stopped = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._stopped.acquire()
        self._thread: threading.Thread | None = None

    def can_go(self) -> bool:
        """Return whether it can take a step."""
        return not self._is_done and self._can_go_on()

    def can_be_killed(self) -> bool:
        """Return whether there is anything to kill."""
        return self._thread is not None and self.at_kill is not None

    def advance(self) -> None:
        """Let it go on until another one is chosen."""
        self._can_go_on = _always
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        else:
            self._go.release()
        self._stopped.acquire()

    def kill(self) -> None:
        """End it before its next step."""
        assert self.at_kill is not None
        self._is_killed = True
        self.advance()
        self.at_kill()

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait until the next step may be taken; called in its thread."""
        if not self._is_killed:
            self._can_go_on = until
            self.order.choose()
            if self.order.chosen == self.number:
                return
            self._stopped.release()
            self._go.acquire()
        if self._is_killed:
            raise Killed

    def _run(self) -> None:
        _current.actor = self
        try:
            self._function()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self._is_done = True
        self.order.choose()
        self._stopped.release()


class Order:
    """One order of steps.

    Parameters
    ----------
    actors : list of Actor
        Who takes them.
    choices : list of int
        How it begins; afterwards, each goes on as long as it can.

    Attributes
    ----------
    chosen : int or None
        The next step: see `Choice`. None at the end.
    trace : list of Choice
        All steps so far.
    """

    def __init__(self, actors: list[Actor], choices: list[int]) -> None:
        self.chosen: int | None = None
        self.trace: list[Choice] = []
        self._actors = actors
        self._choices = choices
        self._error: BaseException | None = None
        for number, actor in enumerate(actors):
            actor.order, actor.number = self, number

    def choose(self) -> None:
        """Choose the next step."""
        last = None if self.chosen is None else max(self.chosen, ~self.chosen)
        possible = [actor.number for actor in self._actors if actor.can_go()]
        if not possible:
            self.chosen = None
            return
        if last not in possible:
            last = None
        self.chosen = possible[0] if last is None else last
        if len(self.trace) < len(self._choices):
            self.chosen = self._choices[len(self.trace)]
        possible += [~i for i in possible if self._actors[i].can_be_killed()]
        if self.chosen not in possible:
            self.chosen = None
            self._error = RuntimeError("an order cannot be repeated")
            return
        others = [i for i in possible if i != self.chosen]
        self.trace.append(Choice(self.chosen, others, last))

    def run(self) -> list[Choice]:
        """Take all steps, and return them; raise the first error of an actor."""
        self.choose()
        while self.chosen is not None:
            if self.chosen < 0:
                self._actors[~self.chosen].kill()
            else:
                self._actors[self.chosen].advance()
        for error in [self._error, *(actor.error for actor in self._actors)]:
            if error is not None:
                raise error
        return self.trace


_current = threading.local()


def step(until: Callable[[], bool] = _always) -> None:
    """Let others run before the next access; it does nothing outside of actors.

    Parameters
    ----------
    until : callable, optional
        The step is not taken before this returns True. It must change nothing.
    """
    actor: Actor | None = getattr(_current, "actor", None)
    if actor is not None:
        actor.wait(until)


def lock_shared(fd: int, _: float) -> bool:
    """Take a shared lock, and wait for it without a timeout."""

    def is_possible() -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(fd, fcntl.LOCK_UN)
        return True

    step(is_possible)
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return True


class Words:
    """Words of shared memory, with a step before each access.

    Parameters
    ----------
    words : memoryview
        The words.
    """

    def __init__(self, words: Any) -> None:
        self._words = words

    def __getitem__(self, place: Any) -> Any:
        step()
        return self._words[place]

    def __setitem__(self, place: Any, value: Any) -> None:
        step()
        self._words[place] = value

    def release(self) -> None:
        self._words.release()


def explore(
    scenario: Callable[[], tuple[list[Actor], Callable[[], None]]], *, switches: int
) -> int:
    """Run a scenario in all orders; return how many there are.

    Parameters
    ----------
    scenario : callable
        Returns new actors, and a function that checks what has become of it.
    switches : int
        How many `Choice.cost` may be in an order, at most.
    """
    beginnings: list[list[int]] = [[]]
    count = 0
    while beginnings:
        choices = beginnings.pop()
        actors, check_end = scenario()
        order = Order(actors, choices)
        try:
            trace = order.run()
            check_end()
        except BaseException as error:
            error.add_note(f"order: {[choice.chosen for choice in order.trace]}")
            raise
        count += 1
        spent = 0
        for i, choice in enumerate(trace):
            if i >= len(choices):
                taken = [one.chosen for one in trace[:i]]
                beginnings += [
                    [*taken, other]
                    for other in choice.others
                    if spent + choice.cost(other) <= switches
                ]
            spent += choice.cost(choice.chosen)
    return count
