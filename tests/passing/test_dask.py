"""dask: arrays travel as handles between processes of one host, else by value."""

from __future__ import annotations

import copyreg
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import dask
import dask.array as da
import dask_tasks
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import workers
from dask.sizeof import sizeof
from dask.tokenize import tokenize
from distributed import Client
from distributed.protocol import deserialize, serialize
from distributed.protocol import pickle as dask_pickle
from distributed.spill import SpillBuffer
from repository import PYTHON_PATH, SUPPORT

import sharray as sh
from sharray.integrations import distributed as integration

# A handle and what dask says around it.
A_MESSAGE = 4000
N = 10_000


@pytest.fixture(scope="module", autouse=True)
def _pickling_as_before() -> Iterator[None]:
    """Forget what distributed registers for the exceptions that it has seen."""
    before = copyreg.dispatch_table.copy()
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(before)


# -- without a cluster --------------------------------------------------------


def test_shared_memory_counts_for_nobody() -> None:
    a = sh.zeros(N)
    assert 0 < sizeof(a) < 300
    assert sizeof(a[::2].T) < 300
    assert sizeof({"a": a, "b": [a]}) < 2000
    assert sizeof(sh.share(scipy.sparse.random(100, 100, 0.5, "csr"))) < 2000


def test_private_memory_counts_in_full() -> None:
    sh.create("a.npy", N)
    assert sizeof(sh.open("a.npy", "c")) == 8 * N
    assert sizeof(sh.zeros(N)[np.arange(N)]) == 8 * N
    assert sizeof(sh.zeros(N) + 1) == 8 * N


def test_names_are_never_used_twice_as_values_may_change() -> None:
    assert sizeof("text") == sys.getsizeof("text")  # as in any message
    a = sh.zeros(3)
    m = sh.share(scipy.sparse.eye(3, format="csr"))
    for obj in (a, [a], m, lambda: a):
        assert tokenize(obj) != tokenize(obj)
    plain = scipy.sparse.eye(3, format="csr")
    assert tokenize(plain) == tokenize(plain.copy())
    assert tokenize(np.zeros(3)) == tokenize(np.zeros(3))


def test_dask_does_without_distributed() -> None:
    code = """
import sys
sys.modules["distributed"] = None
import dask.array, sharray as sh
from dask.sizeof import sizeof
a = sh.ones((6, 6))
print(sizeof(a) < 300, sizeof("text"), sh.to_dask(a, 2).sum().compute())
"""
    assert workers.run_python(code) == f"True {sys.getsizeof('text')} 36.0\n"


def test_dask_alone_brings_no_distributed() -> None:
    code = """
import sys
import dask.array
print([name for name in ("distributed", "sharray") if name in sys.modules])
"""
    assert workers.run_python(code) == "['sharray']\n"


def test_spilled_array_comes_back_as_the_same_memory(tmp_path: Path) -> None:
    buffer = SpillBuffer(str(tmp_path / "spilled"), target=10**9)
    a = sh.zeros(N)
    buffer["view"] = a[1:]
    buffer["last"] = sh.full(N, 5.0)  # which nobody else holds
    while buffer.fast:
        assert buffer.evict() > 0
    a += 1
    view, last = buffer["view"], buffer["last"]
    assert np.shares_memory(view, a)
    assert view.sum() == N - 1
    assert last.sum() == 5 * N
    assert last.is_shared


def by_lambda(a: Any) -> Any:
    return a, lambda: 0


def by_main(a: Any) -> Any:
    return [a, type("Local", (), {"__module__": "__main__"})()]


@pytest.mark.parametrize("wrap", [by_lambda, by_main])
def test_array_beside_what_only_cloudpickle_takes_is_sent_once(
    wrap: Callable[[Any], Any],
) -> None:
    sizeof("text")  # as in any message
    a = sh.full(N, 7.0)
    message = dask_pickle.dumps(wrap(a))
    path = a._root.segment.path
    del a
    gc.collect()
    found = dask_pickle.loads(message)
    assert found[0].sum() == 7 * N
    del found
    assert not os.path.exists(path), "a handle that never arrives is waited for"


HERE = {"address": "tcp://127.0.0.1:1", "pickle-protocol": 5}
OWN = {"sharray-host": integration.host_identity()}
CONTEXTS = {
    "own address": (HERE, True),
    "own name": (HERE | {"address": "tls://localhost:1"}, True),
    "in this process": (HERE | {"address": "inproc://10.0.0.1/1/2"}, True),
    "another address": (HERE | {"address": "tcp://192.0.2.1:1"}, False),
    "an unknown name": (HERE | {"address": "tcp://no.such.host.invalid:1"}, False),
    "no address": ({}, False),
    "this host elsewhere": (HERE | OWN | {"address": "tcp://192.0.2.1:1"}, True),
    "another host here": (HERE | {"sharray-host": "other"}, False),
    "a scheduler here": (HERE | {"pickle-protocol": 4}, True),
    "a scheduler of many": (
        HERE | OWN | {"address": "tcp://192.0.2.1:1", "pickle-protocol": 4},
        False,
    ),
}


@pytest.mark.parametrize("who", CONTEXTS)
def test_handles_go_to_this_host_only(who: str) -> None:
    sizeof("text")  # as in any message
    recipient, near = CONTEXTS[who]
    a = sh.array(np.arange(6.0).reshape(2, 3))
    for view in (a, a[:, ::2], a.T):
        header, frames = serialize(view, context={"recipient": recipient})
        found = deserialize(header, [bytes(frame) for frame in frames])
        np.testing.assert_array_equal(found, view)
        assert isinstance(found, sh.SharedArray) == near
        assert np.shares_memory(found, a) == near


def test_hosts_differ_by_boot_user_and_file_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = integration.host_identity()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert own.startswith(boot)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    integration._host_identity.cache_clear()
    assert integration.host_identity() != own
    monkeypatch.undo()
    integration._host_identity.cache_clear()
    monkeypatch.setenv("SHARRAY_RAM_DIR", "/")
    assert integration.host_identity() != own
    monkeypatch.setenv("SHARRAY_HOST", "chosen")
    assert integration.host_identity() == "chosen"


# -- dask arrays --------------------------------------------------------------


def test_blocks_are_views() -> None:
    a = sh.array(np.arange(24.0).reshape(4, 6))
    blocks = dask.compute(*sh.to_dask(a[:, 1:], (2, 3)).to_delayed().ravel())
    assert [block.shape for block in blocks] == [(2, 3), (2, 2)] * 2
    assert all(np.shares_memory(block, a) for block in blocks)
    np.testing.assert_array_equal(np.block([[*blocks[:2]], [*blocks[2:]]]), a[:, 1:])


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0), (5, 4, 3)])
def test_dask_array_equals_the_array(shape: tuple[int, ...]) -> None:
    a = sh.array(np.arange(np.prod(shape, dtype=int)).reshape(shape))
    x = sh.to_dask(a, 2)
    assert (x.shape, x.dtype) == (a.shape, a.dtype)
    np.testing.assert_array_equal(x.compute(), a)
    np.testing.assert_array_equal((x.T + 1).compute(), a.T + 1)
    if shape:
        np.testing.assert_array_equal(x[..., ::2].compute(), a[..., ::2])


def test_each_dask_array_has_a_name_of_its_own_and_reads_what_is_there() -> None:
    a = sh.ones(N)
    x = sh.to_dask(a)
    assert x.sum().compute() == N
    a += 1
    assert x.sum().compute() == 2 * N
    assert sh.to_dask(a).name != x.name


def test_dask_array_of_private_memory_is_refused() -> None:
    with pytest.raises(sh.NotSharedError, match="private copy"):
        sh.to_dask(sh.zeros(3)[[0, 1]])


def test_blocks_are_written_in_place() -> None:
    a = sh.zeros((6, 6))
    x = sh.to_dask(a, (2, 3))
    x.map_blocks(dask_tasks.increment, dtype=x.dtype).sum().compute()
    assert (a == 1).all()
    da.store(x * 3, a, lock=False)
    assert (a == 3).all()


# -- with a cluster -----------------------------------------------------------


class Cluster(NamedTuple):
    """A client, and the addresses of its workers: two of this host, one of another."""

    client: Client
    near: str
    next: str
    far: str

    def call(self, function: Callable[..., Any], *args: Any, on: str) -> Any:
        """Return the result of a function on one of the workers."""
        future = self.client.submit(function, *args, workers=[on], pure=False)
        return future.result(timeout=500)

    def sent(self, by: str) -> list[int]:
        """Return the sizes of the answers that a worker has sent so far."""
        found: list[int] = self.client.run(dask_tasks.sent_bytes, workers=[by])[by]
        return found


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "dask_tasks.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH},
    )
    with process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())


@pytest.fixture
def cluster(addresses: dict[str, str]) -> Iterator[Cluster]:
    found = dict(addresses)
    with Client(found.pop("scheduler"), timeout=500, set_as_default=False) as client:
        yield Cluster(client, **found)
        client.run_on_scheduler(dask_tasks.forget)


def submitted(cluster: Cluster, a: Any) -> None:
    cluster.call(dask_tasks.add_one, a, on=cluster.near)


def mapped(cluster: Cluster, a: Any) -> None:
    client = cluster.client
    (future,) = client.map(dask_tasks.add_one, [a], workers=[cluster.near])
    future.result(timeout=500)


def delayed(cluster: Cluster, a: Any) -> None:
    task = dask.delayed(dask_tasks.add_one)(a)
    cluster.client.compute(task, workers=[cluster.near]).result(timeout=500)


def scattered(cluster: Cluster, a: Any) -> None:
    future = cluster.client.scatter([a], workers=[cluster.near])[0]
    cluster.call(dask_tasks.add_one, future, on=cluster.near)


def scattered_directly(cluster: Cluster, a: Any) -> None:
    future = cluster.client.scatter([a], workers=[cluster.near], direct=True)[0]
    cluster.call(dask_tasks.add_one, future, on=cluster.near)


def from_another_worker(cluster: Cluster, a: Any) -> None:
    future = cluster.client.scatter([a], workers=[cluster.near])[0]
    cluster.call(dask_tasks.add_one, future, on=cluster.next)


ROADS = [
    submitted,
    mapped,
    delayed,
    scattered,
    scattered_directly,
    from_another_worker,
]


def whole() -> Any:
    return sh.zeros((100, 100))


def strided() -> Any:
    return sh.zeros((100, 100))[1::2, ::-1].T


def nested() -> Any:
    a = sh.zeros((100, 100))
    return {"first": a[0], "more": [a[1], {"last": a[2:]}]}


def frame() -> Any:
    return sh.share(pd.DataFrame({"x": np.arange(float(N)), "y": np.zeros(N)}))


def sparse() -> Any:
    return sh.share(scipy.sparse.eye(N, format="csr"))


OBJECTS = [whole, strided, nested, frame, sparse]


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("make", OBJECTS)
def test_a_worker_writes_to_the_memory_that_was_sent(
    make: Callable[[], Any], road: Callable[[Cluster, Any], None], cluster: Cluster
) -> None:
    obj = make()
    before = dask_tasks.values(obj)
    road(cluster, obj)
    for found, expected in zip(dask_tasks.values(obj), before, strict=True):
        np.testing.assert_array_equal(found, expected + 1)


@pytest.mark.slow
@pytest.mark.parametrize("make", OBJECTS)
def test_workers_of_one_host_send_each_other_handles(
    make: Callable[[], Any], cluster: Cluster
) -> None:
    obj = make()
    future = cluster.client.scatter([obj], workers=[cluster.near])[0]
    sent = len(cluster.sent(cluster.near))
    found = cluster.call(dask_tasks.places, future, on=cluster.next)
    assert found == dask_tasks.places(obj)
    assert None not in found
    (nbytes,) = cluster.sent(cluster.near)[sent:]
    assert nbytes < A_MESSAGE


@pytest.mark.slow
@pytest.mark.parametrize("direct", [False, True])
def test_result_is_gathered_as_the_memory_that_the_worker_has(
    direct: bool, cluster: Cluster
) -> None:
    client = cluster.client
    future = client.submit(dask_tasks.make, N, workers=[cluster.near], pure=False)
    sent = len(cluster.sent(cluster.near))
    found = client.gather(future, direct=direct)
    (nbytes,) = cluster.sent(cluster.near)[sent:]
    assert nbytes < A_MESSAGE
    assert cluster.call(dask_tasks.add_one, future, on=cluster.near) == (
        dask_tasks.places(found)
    )
    np.testing.assert_array_equal(found, np.full(N, 8.0))


@pytest.mark.slow
def test_the_scheduler_takes_a_shared_array_for_small(cluster: Cluster) -> None:
    a = sh.zeros(N)
    future = cluster.client.scatter([a], workers=[cluster.near])[0]
    assert cluster.client.nbytes(summary=False)[future.key] < 300


@pytest.mark.slow
@pytest.mark.parametrize("make", OBJECTS)
@pytest.mark.parametrize("road", ["worker", "client"])
def test_another_host_gets_the_values(
    road: str, make: Callable[[], Any], cluster: Cluster
) -> None:
    obj = make()
    direct = road == "client"
    first = cluster.far if direct else cluster.near
    future = cluster.client.scatter([obj], workers=[first], direct=direct)[0]
    types, places, values = cluster.call(dask_tasks.describe, future, on=cluster.far)
    assert set(types) == {"ndarray"}
    assert set(places) == {None}
    for found, expected in zip(values, dask_tasks.values(obj), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("direct", [False, True])
def test_values_come_from_another_host(direct: bool, cluster: Cluster) -> None:
    client = cluster.client
    future = client.submit(dask_tasks.make, N, workers=[cluster.far], pure=False)
    found = client.gather(future, direct=direct)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, np.full(N, 7.0))


@pytest.mark.slow
@pytest.mark.parametrize("make", OBJECTS)
def test_graph_has_the_values_if_workers_may_be_elsewhere(
    make: Callable[[], Any], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integration, "_is_loopback", lambda _: False)
    obj = make()
    types, places, values = cluster.call(dask_tasks.describe, obj, on=cluster.near)
    assert set(types) == {"ndarray"}
    assert set(places) == {None}
    for found, expected in zip(values, dask_tasks.values(obj), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_blocks_of_a_dask_array_are_written_in_place_by_workers(
    cluster: Cluster,
) -> None:
    a = sh.zeros((60, 60))
    x = sh.to_dask(a, (20, 30))
    near = {"workers": [cluster.near, cluster.next]}
    with dask.annotate(**near), dask.config.set(scheduler=cluster.client):
        x.map_blocks(dask_tasks.increment, dtype=x.dtype).sum().compute()
        assert (a == 1).all()
        da.store(x * 3, a, lock=False)
        assert (a == 3).all()
        assert x.sum().compute() == 3 * a.size


@pytest.mark.slow
def test_functions_of_a_notebook_get_arrays_too(cluster: Cluster) -> None:
    a = sh.zeros(N)
    function = cloudpickle.loads(cloudpickle.dumps(lambda x: dask_tasks.add_one(x)))
    assert cluster.call(function, a, on=cluster.near) == dask_tasks.places(a)
    assert a.sum() == N
