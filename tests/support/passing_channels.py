"""The channels of multiprocessing and concurrent.futures, and a parcel through each."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import passing_parcels as parcels
import passing_processes as processes
from passing_parcels import PICKLED, SHARED, Parcel, echo

METHODS = ("fork", "spawn", "forkserver")
# Without a message, a fork inherits an argument, and there are no results.
INHERITED = "inherited"
NOTHING = "nothing"
PATIENCE = 60.0

# The channels: each takes what it needs and a parcel, and returns what arrived.


def _in_queue(number: int, partner: processes.Partner, parcel: Parcel) -> Parcel:
    there, back = partner.lines[number]
    partner.ask.send(number)
    there.put(parcel)
    return back.get()  # type: ignore[no-any-return]


def _in_joinable_queue(partner: processes.Partner, parcel: Parcel) -> Parcel:
    found = _in_queue(1, partner, parcel)
    there, back = partner.lines[1]
    back.task_done()
    for queue in (there, back):
        queue.join()
    return found


def _in_pipe(partner: processes.Partner, parcel: Parcel) -> Parcel:
    partner.ask.send(3)
    return _by_connection(partner.lines[3], parcel)


def _in_one_way_pipes(partner: processes.Partner, parcel: Parcel) -> Parcel:
    sender, receiver = partner.lines[4]
    partner.ask.send(4)
    sender.send(parcel)
    return receiver.recv()  # type: ignore[no-any-return]


def _by_connection(connection: Any, parcel: Parcel) -> Parcel:
    connection.send(parcel)
    assert connection.poll(PATIENCE)
    return connection.recv()  # type: ignore[no-any-return]


def _process_arguments(context: Any, parcel: Parcel) -> Any:
    reading, writing = context.Pipe(duplex=False)
    process = context.Process(
        target=processes.report_stamps, args=(parcel,), kwargs={"answer": writing}
    )
    process.start()
    writing.close()
    with reading:
        stamps = reading.recv()
    process.join()
    return stamps


def _pool_initializer(context: Any, parcel: Parcel) -> Any:
    with context.Pool(1, parcels.keep, (parcel,)) as workers:
        stamps = workers.apply(parcels.stamps_of_kept)
        workers.close()
        workers.join()
    return stamps


def _pool_that_renews_workers(context: Any, parcel: Parcel) -> Parcel:
    with context.Pool(1, maxtasksperchild=1) as workers:
        found = workers.apply(echo, (parcel,))
        workers.close()
        workers.join()
    return found  # type: ignore[no-any-return]


def _executor_initializer(context: Any, parcel: Parcel) -> Any:
    with ProcessPoolExecutor(1, context, parcels.keep, (parcel,)) as workers:
        return workers.submit(parcels.stamps_of_kept).result()


def _executor_that_renews_workers(context: Any, parcel: Parcel) -> Parcel:
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as workers:
        return workers.submit(echo, parcel).result()


def _carried_by_exception(call: Callable[[], Any]) -> Any:
    try:
        call()
    except parcels.FailureError as error:
        return error.args[0]
    raise AssertionError("nothing was raised")


async def _awaited(executor: Any, parcel: Parcel) -> Parcel:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, echo, parcel)


def _on_shelf(manager: Any, parcel: Parcel) -> Any:
    shelf = manager.Shelf()
    shelf.put(parcel)
    return _last_of_two(shelf.get)


def _in_dict(manager: Any, parcel: Parcel) -> Any:
    kept = manager.dict(first=parcel)
    kept["again"] = kept.pop("first")
    return _last_of_two(lambda: kept["again"])


def _in_list(manager: Any, parcel: Parcel) -> Any:
    kept = manager.list()
    kept.append(parcel)
    return _last_of_two(lambda: kept[0])


def _in_namespace(manager: Any, parcel: Parcel) -> Any:
    kept = manager.Namespace()
    kept.parcel = parcel
    return _last_of_two(lambda: kept.parcel)


def _in_managed_queue(manager: Any, parcel: Parcel) -> Any:
    queue = manager.Queue()
    queue.put(parcel)
    return queue.get()


def _last_of_two(get: Callable[[], Any]) -> Any:
    """Return the second of two arrivals, which must not share memory."""
    get()
    return get()


def _by_proxy_in_another_process(context: Any, parcel: Parcel) -> Any:
    with processes.manager(context) as server:
        shelf = server.Shelf()
        shelf.put(parcel)
        process = context.Process(target=processes.put_back, args=(shelf,))
        process.start()
        process.join()
        return shelf.get()


class Channel(NamedTuple):
    """A way for arrays to travel to another process and back.

    `name` and `kind` are as a user would call it; channels of a kind that fare alike
    are one line of the table.
    """

    kind: str
    name: str
    needs: Callable[[Any], Any]
    send: Callable[[Any, Parcel], Any]
    arguments: str = SHARED
    results: str = SHARED
    forked: str | None = None  # if different from `arguments`
    trips: int = 2
    methods: tuple[str, ...] = METHODS

    @property
    def words(self) -> str:
        """Return its name for the names of tests."""
        return f"{self.kind} {self.name}".replace("`", "").strip()


def _all(
    kind: str, needs: Any, senders: dict[str, Callable[[Any, Parcel], Any]], **more: Any
) -> list[Channel]:
    return [Channel(kind, name, needs, send, **more) for name, send in senders.items()]


_POOL: dict[str, Callable[[Any, Parcel], Any]] = {
    "`apply`": lambda pool, x: pool.apply(echo, (x,)),
    "`apply_async`": lambda pool, x: pool.apply_async(
        echo, (), {"parcel": x}, callback=lambda _: None
    ).get(PATIENCE),
    "`map`": lambda pool, x: pool.map(echo, [x])[0],
    "`map_async`": lambda pool, x: pool.map_async(echo, [x]).get(PATIENCE)[0],
    "`imap`": lambda pool, x: next(pool.imap(echo, [x])),
    "`imap_unordered`": lambda pool, x: next(pool.imap_unordered(echo, [x])),
    "`starmap`": lambda pool, x: pool.starmap(echo, [(x,)])[0],
    "`starmap_async`": lambda pool, x: pool.starmap_async(echo, [(x,)]).get(PATIENCE)[
        0
    ],
    "exceptions": lambda pool, x: _carried_by_exception(
        lambda: pool.apply(parcels.fail, (x,))
    ),
}
_EXECUTOR: dict[str, Callable[[Any, Parcel], Any]] = {
    "`submit`": lambda pool, x: pool.submit(echo, x).result(),
    "`map`": lambda pool, x: next(pool.map(echo, [x], chunksize=2)),
    "exceptions": lambda pool, x: _carried_by_exception(
        pool.submit(parcels.fail, x).result
    ),
    "asyncio's `run_in_executor`": lambda pool, x: asyncio.run(_awaited(pool, x)),
}
_QUEUES: dict[str, Callable[[Any, Parcel], Any]] = {
    "`Queue`": functools.partial(_in_queue, 0),
    "`JoinableQueue`": _in_joinable_queue,
    "`SimpleQueue`": functools.partial(_in_queue, 2),
}
_PIPES: dict[str, Callable[[Any, Parcel], Any]] = {
    "both ways": _in_pipe,
    "`duplex=False`": _in_one_way_pipes,
}
_MANAGER: dict[str, Callable[[Any, Parcel], Any]] = {
    "`dict`": _in_dict,
    "`list`": _in_list,
    "`Namespace`": _in_namespace,
    "`Queue`": _in_managed_queue,
    "registered classes": _on_shelf,
}
_FAR: dict[str, Any] = {"arguments": PICKLED, "results": PICKLED}
_START: dict[str, Any] = {"forked": INHERITED, "results": NOTHING, "trips": 1}
_OWN = processes.own_processes

CHANNELS = [
    Channel("`multiprocessing.Process`", "", _OWN, _process_arguments, **_START),
    *_all("`multiprocessing.Pool`", processes.pool, _POOL),
    *_all(
        "`multiprocessing.Pool`",
        _OWN,
        {"`maxtasksperchild`": _pool_that_renews_workers},
        trips=1,
    ),
    Channel(
        "`multiprocessing.Pool`", "`initializer`", _OWN, _pool_initializer, **_START
    ),
    *_all("`concurrent.futures.ProcessPoolExecutor`", processes.executor, _EXECUTOR),
    Channel(
        "`concurrent.futures.ProcessPoolExecutor`",
        "`max_tasks_per_child`",
        _OWN,
        _executor_that_renews_workers,
        trips=1,
        methods=METHODS[1:],
    ),
    Channel(
        "`concurrent.futures.ProcessPoolExecutor`",
        "`initializer`",
        _OWN,
        _executor_initializer,
        **_START,
    ),
    *_all("`multiprocessing` queues", processes.partner, _QUEUES),
    *_all("`multiprocessing.Pipe`", processes.partner, _PIPES),
    *_all("`multiprocessing.Manager`", processes.manager, _MANAGER),
    Channel(
        "`multiprocessing.Manager`",
        "proxies in other processes",
        _OWN,
        _by_proxy_in_another_process,
        trips=1,
    ),
    Channel(
        "`multiprocessing.Manager`",
        "at an internet address",
        processes.inet_manager,
        _on_shelf,
        **_FAR,
    ),
    Channel(
        "`multiprocessing.connection`",
        "`Listener`, `Client`: `AF_UNIX`",
        processes.connection,
        _by_connection,
    ),
    Channel(
        "`multiprocessing.connection`",
        "`Listener`, `Client`: `AF_INET`",
        processes.inet_connection,
        _by_connection,
        **_FAR,
    ),
]
