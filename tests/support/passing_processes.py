"""The processes at the other ends of the channels.

A process that several channels need is a context manager, and starts once for all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Client, Listener
from multiprocessing.managers import SyncManager
from typing import Any, NamedTuple

from passing_parcels import Parcel, echo, pattern


def report_stamps(parcel: Parcel, answer: Any) -> None:
    """Send the stamps of a parcel that a process got when it started."""
    answer.send(parcel.stamps)


def echo_to(address: Any) -> None:
    """Send all messages of a Listener back until None arrives."""
    with Client(address, authkey=b"key") as connection:
        while (parcel := connection.recv()) is not None:
            connection.send(echo(parcel))


def put_back(shelf: Any) -> None:
    """Take a parcel from a shelf by its proxy, and put it back."""
    shelf.put(echo(shelf.get()))


def get_and_finish(queue: Any) -> Any:
    """Take a parcel from a JoinableQueue, and mark it as done."""
    found = queue.get()
    queue.task_done()
    return found


def call(send: Any) -> None:
    """Send a parcel by a function that is an argument."""
    send(Parcel(pattern()))


def echo_in_worker(context: Any, parcel: Parcel) -> Parcel:
    """Let a worker of this process send messages back."""
    with ProcessPoolExecutor(1, context) as workers:
        return workers.submit(echo, parcel).result()


def send_by(connection: Any, parcel: Parcel) -> None:
    """Send by a connection that is an argument."""
    connection.send(parcel)


Line = tuple[Callable[[], Any], Callable[[Any], None]]


def echo_on_lines(asked: Any, lines: list[Line]) -> None:
    """Send messages back by the requested lines until None arrives."""
    while (number := asked.recv()) is not None:
        receive, send = lines[number]
        send(echo(receive()))


@contextmanager
def own_processes(context: Any) -> Iterator[Any]:
    """Yield nothing, for channels that start their own processes."""
    yield context


@contextmanager
def pool(context: Any) -> Iterator[Any]:
    """Yield a pool of one worker."""
    with context.Pool(1) as workers:
        yield workers
        workers.close()
        workers.join()


@contextmanager
def executor(context: Any) -> Iterator[Any]:
    """Yield an executor of one worker."""
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        yield workers


class Shelf:
    """A user's class, for managers."""

    def __init__(self) -> None:
        self._kept: Any = None

    def put(self, parcel: Parcel) -> None:
        """Keep a parcel."""
        self._kept = parcel

    def get(self) -> Any:
        """Return the parcel that is kept."""
        return self._kept


class Manager(SyncManager):
    """A manager with all types, and a user's class."""


Manager.register("Shelf", Shelf)


@contextmanager
def manager(context: Any) -> Iterator[Any]:
    """Yield a manager whose sockets are files."""
    with Manager(ctx=context) as server:
        yield server


@contextmanager
def inet_manager(context: Any) -> Iterator[Any]:
    """Yield a manager that other machines may reach."""
    with Manager(("127.0.0.1", 0), ctx=context) as server:
        yield server


@contextmanager
def connection(context: Any, family: str = "AF_UNIX") -> Iterator[Any]:
    """Yield a connection to another process, by a Listener and a Client."""
    with Listener(family=family, authkey=b"key") as listener:
        process = context.Process(target=echo_to, args=(listener.address,))
        process.start()
        with listener.accept() as accepted:
            yield accepted
            accepted.send(None)
        process.join()


inet_connection = functools.partial(connection, family="AF_INET")


class Partner(NamedTuple):
    """Another process, and the lines by which it sends back what it gets."""

    ask: Any
    lines: list[Any]


@contextmanager
def partner(context: Any) -> Iterator[Partner]:
    """Yield one process for all queues and pipes."""
    kinds = context.Queue, context.JoinableQueue, context.SimpleQueue
    queues = [(kind(), kind()) for kind in kinds]
    here, there = context.Pipe()
    (far_end, sender), (receiver, far_sender), (asked, ask) = (
        context.Pipe(duplex=False) for _ in range(3)
    )
    (q_out, q_in), (j_out, j_in), (s_out, s_in) = queues
    theirs = [
        (q_out.get, q_in.put),
        (functools.partial(get_and_finish, j_out), j_in.put),
        (s_out.get, s_in.put),
        (there.recv, functools.partial(send_by, there)),
        (far_end.recv, functools.partial(send_by, far_sender)),
    ]
    process = context.Process(target=echo_on_lines, args=(asked, theirs))
    process.start()
    for end in (asked, there, far_end, far_sender):
        end.close()  # so that reading fails, not hangs, if the process ends early
    yield Partner(ask, [*queues, here, (sender, receiver)])
    ask.send(None)
    process.join()
    for queue in (q_out, q_in, j_out, j_in):
        queue.close()
        queue.join_thread()
    for end in (s_out, s_in, here, sender, receiver, ask):
        end.close()
