"""Random numbers of a run with ``seed=``: the state with which each part begins.

The state depends on the seed and on the index at which the part begins, and on nothing
else: not on the member that works on it, nor on what that did before. So a run divides
its work into parts that depend on its length only.

::

      seed ---- SeedSequence ----> two words, in the slots of the kernel
                                          |
      index of the part -------> `mix` ---+---> two counters, each with its own step
                                                   |
      state of a Mersenne twister  <--- `mix` of one, xor `mix` of the other
      624 words, for numpy.random, and others for random

`mix` is the finalizer of SplitMix64. With two counters, parts would need the same 128
bits to have the same state.
"""

from __future__ import annotations

import functools
import operator
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import numba_random
from .numba_random import NUMPY, PYTHON, STATE_SIZE

SEED_WORDS = 3  # in the slots: whether there is a seed, and two words of it
NOT_SEEDED = (0, 0, 0)
STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

_thread = threading.local()  # the part on which a thread works, and its generator


def words_of(seed: Any) -> tuple[int, ...]:
    """Return the words of a seed for the slots of a kernel.

    Raises
    ------
    ValueError
        `seed` is neither None nor an integer of at least 0.
    """
    if seed is None:
        return NOT_SEEDED
    return _words_of(check_seed(seed))


def check_seed(seed: Any) -> int:
    """Return a seed as an integer, or refuse it.

    Examples
    --------
    >>> check_seed(np.uint8(7))
    7
    """
    try:
        found = -1 if isinstance(seed, (bool, np.bool_)) else operator.index(seed)
    except TypeError:
        found = -1
    if found < 0:
        raise ValueError(
            f"expected seed= with an integer of at least 0, got {seed!r}; leave it out "
            "for other random numbers in each run"
        )
    return found


@functools.lru_cache(256)  # SeedSequence takes 10 us
def _words_of(seed: int) -> tuple[int, ...]:
    words = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    return (1, *words.view(np.int64).tolist())


def mix(word: Any) -> Any:
    """Return a word whose bits depend on all bits of another; also of arrays."""
    word = (word ^ (word >> np.uint64(30))) * _FACTORS[0]
    word = (word ^ (word >> np.uint64(27))) * _FACTORS[1]
    return word ^ (word >> np.uint64(31))


def counters(first: Any, second: Any, part: Any) -> Any:
    """Return where the counters of a part begin; `part` differs for each module."""
    one = mix(first + mix(part + STEPS[0]))
    return one, mix(second + mix(one ^ (part + STEPS[1])))


def state_of(seed: int, begin: int, module: int) -> np.ndarray[Any, Any]:
    """Return the state with which a part begins, as machine code sets it.

    Parameters
    ----------
    seed : int
        The seed of the run.
    begin : int
        The index at which the part begins.
    module : int
        `NUMPY` or `PYTHON`.
    """
    _, *words = words_of(seed)
    first, second, part = (
        np.array([word], np.int64).view(np.uint64)
        for word in (*words, 2 * max(begin, 0) + module)
    )
    one, other = counters(first, second, part)
    steps = np.arange(1, STATE_SIZE // 2 + 1, dtype=np.uint64)
    found: np.ndarray[Any, Any] = mix(one + steps * STEPS[0])
    found ^= mix(other + steps * STEPS[1])
    return found.astype("<u8").view("<u4").astype(np.uint32)


@contextmanager
def seeded(seed: int | None, begin: int) -> Iterator[None]:
    """Seed random numbers of Python for a part, and restore them after it.

    A function may draw them from `default_rng`, from the global generators of NumPy and
    Python, and from those of compiled functions. A no-op without a seed.
    """
    if seed is None:
        yield
        return
    before = np.random.get_state(), random.getstate(), numba_random.save()
    outer = getattr(_thread, "part", None), getattr(_thread, "generator", None)
    try:
        _thread.part, _thread.generator = (seed, begin), None
        states = {one: state_of(seed, begin, one) for one in (NUMPY, PYTHON)}
        np.random.set_state(("MT19937", states[NUMPY], STATE_SIZE, 0, 0.0))
        random.setstate((3, (*states[PYTHON].tolist(), STATE_SIZE), None))
        numba_random.restore(
            {one: numba_random.state_bytes(words) for one, words in states.items()}
        )
        yield
    finally:
        _thread.part, _thread.generator = outer
        np.random.set_state(before[0])
        random.setstate(before[1])
        numba_random.restore(before[2])


def default_rng() -> np.random.Generator:
    """Return a generator of random numbers, seeded for the part of a run.

    In a function that a team runs with ``seed=``, it is one generator for each part,
    which depends on the seed and the place of the part. Elsewhere, it is a new one of
    `numpy.random.default_rng`. Kernels call ``numpy.random`` instead.

    Returns
    -------
    numpy.random.Generator
        The generator.

    Examples
    --------
    >>> import sharray as sh
    >>> def fill(x):
    ...     x[...] = sh.default_rng().random(len(x))
    >>> x, y = sh.zeros(100), sh.zeros(100)
    >>> with sh.Team(1) as team:
    ...     team.run(fill, x, seed=1)
    ...     team.run(fill, y, seed=1, schedule="static")
    >>> bool((x == y).all())
    True
    """
    part = getattr(_thread, "part", None)
    if part is None:
        return np.random.default_rng()
    if _thread.generator is None:
        seed, begin = part
        sequence = np.random.SeedSequence(seed, spawn_key=(begin,))
        _thread.generator = np.random.default_rng(sequence)
    generator: np.random.Generator = _thread.generator
    return generator
