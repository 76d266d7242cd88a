"""The contenders that pass arrays, by their names."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from .by_hand import by_hand, by_hand_kept, shared_array
from .libraries import with_joblib, with_ray, with_tensordict, with_torch
from .ring import with_ring
from .way import Way, memcpy, ours, plain

PLAIN = "plain pickle"
OURS = "sharray.install()"
SHARED = "install(), all shared"
MEMCPY = "memcpy"
BY_HAND = "SharedMemory"
REUSED = "SharedMemory, reused"
LEAST_SHARED = 1024  # bytes, of what is all shared


class Peer(NamedTuple):
    """A contender, and the module without which there is none."""

    module: str
    start: Callable[[], AbstractContextManager[Way]]


ALWAYS: dict[str, Peer] = {
    PLAIN: Peer("multiprocessing", plain),
    OURS: Peer("sharray", ours),
    MEMCPY: Peer("numpy", memcpy),
    BY_HAND: Peer("multiprocessing", by_hand),
}
FULL_ONLY: dict[str, Peer] = {
    "SharedArray": Peer("SharedArray", shared_array),
    REUSED: Peer("multiprocessing", by_hand_kept),
    "joblib": Peer("joblib", with_joblib),
    "joblib, max_nbytes=None": Peer("joblib", lambda: with_joblib(max_nbytes=None)),
    "torch.multiprocessing": Peer("torch", with_torch),
    "tensordict": Peer("tensordict", with_tensordict),
    "shm-ring-buffer": Peer("ring_buffer", with_ring),
    "ray": Peer("ray", with_ray),
}
# Not among those that are compared: for the size from which on it pays.
HELPERS: dict[str, Peer] = {SHARED: Peer("sharray", lambda: ours(LEAST_SHARED))}
# Those that run the tasks which return new values.
RETURNING = (PLAIN, OURS, REUSED)
# Those that can send the same array again without a copy.
AGAIN = (BY_HAND, "SharedArray", "torch.multiprocessing", "tensordict", "ray")
PEERS: dict[str, Peer] = {**ALWAYS, **FULL_ONLY, **HELPERS}
