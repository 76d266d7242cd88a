"""`install` covers every channel, with every start method."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Listener
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
import passing_parcels as parcels
import passing_processes as processes
import pytest
from passing_channels import CHANNELS, INHERITED, METHODS, NOTHING, Channel
from passing_parcels import PICKLED, SHARED, Parcel, pattern, road_of
from passing_table import BEGIN, END, Outcome, outcome, table
from repository import ROOT

import sharray as sh

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


@pytest.mark.parametrize(
    ("channel", "method"),
    [
        pytest.param(channel, method, id=f"{channel.words}-{method}")
        for method in METHODS
        for channel in CHANNELS
        if method in channel.methods
    ],
)
def test_array_arrives_as_if_pickled_by_the_road_the_table_says(
    channel: Channel, method: str
) -> None:
    arguments = channel.arguments
    if method == "fork":
        arguments = channel.forked or arguments
    assert outcome(channel, method) == Outcome(arguments, channel.results)


@pytest.mark.parametrize(
    "channel",
    [channel for channel in CHANNELS if "fork" in channel.methods],
    ids=lambda channel: channel.words,
)
def test_without_install_everything_is_pickled(channel: Channel) -> None:
    found = outcome(channel, "fork", installed=False)
    results = PICKLED if channel.results != NOTHING else NOTHING
    assert found == Outcome(channel.forked or PICKLED, results)


def test_channels_that_python_does_not_offer_are_refused_by_it() -> None:
    (channel,) = (c for c in CHANNELS if c.methods != METHODS)
    assert set(METHODS) - set(channel.methods) == {"fork"}
    with pytest.raises(ValueError, match="fork"):
        channel.send(multiprocessing.get_context("fork"), Parcel(pattern()))


def test_worker_that_imports_nothing_of_sharray_answers_alike(context: Any) -> None:
    with sh.installed(), ProcessPoolExecutor(1, context) as pool:
        found = pool.submit(np.negative, pattern()).result()
    assert road_of(found) == SHARED
    np.testing.assert_array_equal(found, -pattern())


def test_workers_of_workers_answer_alike(context: Any) -> None:
    with sh.installed(), ProcessPoolExecutor(1, context) as pool:
        got = pool.submit(processes.echo_in_worker, context, Parcel(pattern())).result()
    assert [stamp.road for stamp in got.stamps] == [SHARED] * 4
    assert len({stamp.pid for stamp in got.stamps}) == 3
    assert got.is_intact()


def test_executor_made_before_install_takes_part(context: Any) -> None:
    sh.uninstall()  # which a fork knows of, but was not told
    with ProcessPoolExecutor(1, context) as pool:
        before = pool.submit(parcels.echo, Parcel(pattern())).result()
        with sh.installed():
            after = pool.submit(parcels.echo, Parcel(pattern())).result()
    assert [stamp.road for stamp in before.stamps] == [PICKLED] * 2
    assert [stamp.road for stamp in after.stamps] == [SHARED] * 2


def test_pool_made_before_install_goes_on_as_before(context: Any) -> None:
    # It has taken hold of Connection.send when it was made.
    with processes.pool(context) as pool, sh.installed():
        got = pool.apply(parcels.echo, (Parcel(pattern()),))
    assert got.stamps[0].road == PICKLED
    assert got.is_intact()


def test_pool_made_while_installed_pickles_after_uninstall(context: Any) -> None:
    with sh.installed(), processes.pool(context) as pool:
        shared = pool.apply(parcels.echo, (Parcel(pattern()),))
        sh.uninstall()
        pickled = pool.apply(parcels.echo, (Parcel(pattern()),))
    assert shared.stamps[0].road == SHARED
    assert pickled.stamps[0].road == PICKLED


def test_bound_send_among_the_arguments_of_a_process_takes_part(context: Any) -> None:
    reading, writing = context.Pipe(duplex=False)
    with sh.installed():
        process = context.Process(target=processes.call, args=(writing.send,))
        process.start()
        writing.close()
        with reading:
            got = reading.recv()
        process.join()
    assert [stamp.road for stamp in got.stamps] == [SHARED]


@pytest.mark.parametrize("call", ["uninstall", "install"])
def test_what_a_worker_calls_itself_is_respected(call: str, context: Any) -> None:
    arguments = (1 << 30,) if call == "install" else ()
    with sh.installed(), processes.pool(context) as pool:
        pool.apply(getattr(sh, call), arguments)
        for _ in range(2):
            got = pool.apply(parcels.echo, (Parcel(pattern()),))
            assert [stamp.road for stamp in got.stamps] == [SHARED, PICKLED]


@pytest.mark.parametrize("installs", [False, True])
def test_program_of_its_own_is_sent_to_as_it_likes(installs: bool) -> None:
    code = "import sys, sharray, passing_processes\n"
    code += "sharray.install()\n" * installs
    code += "passing_processes.echo_to(sys.argv[1])\n"
    with sh.installed(), Listener(family="AF_UNIX", authkey=b"key") as listener:
        program = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, str(listener.address)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        with listener.accept() as connection:
            connection.send(Parcel(pattern()))
            got = connection.recv()
            connection.send(None)
        assert program.wait(500) == 0
    # It may not even have sharray.
    road = SHARED if installs else PICKLED
    assert [stamp.road for stamp in got.stamps] == [road, road]


def test_threads_get_the_array_itself() -> None:
    array = pattern()
    with sh.installed(), ThreadPool(1) as pool:
        assert pool.apply(np.asarray, (array,)) is array
        pool.close()
        pool.join()


def test_the_guide_has_the_table_of_what_was_found() -> None:
    page = ROOT / "docs/concepts/passing.md"
    _, begin, rest = page.read_text(encoding="utf-8").partition(f"{BEGIN}\n")
    found, end, _ = rest.partition(f"\n{END}\n")
    assert begin, f"passing.md has no line {BEGIN}"
    assert end, f"passing.md has no line {END}"
    assert found.strip() == table(), (
        "print it with python tests/support/passing_table.py"
    )
    assert INHERITED in found
