"""Python functions that a team calls for chunks, against plain NumPy."""

from __future__ import annotations

import functools
import operator
import os
import signal
import threading
from concurrent.futures import CancelledError
from typing import Any

import functions_elsewhere as elsewhere
import numpy as np
import pytest
import team_tools
from belongings import files_in_ram
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from team_tools import LONG, each_team, needs_jit, team_of, until_inside

import sharray as sh

settled = team_tools.settled
teams = each_team()
team = team_of(2, caller_works=False)
FACTOR = 3


@pytest.fixture
def mortal() -> Any:
    """A team whose workers may be replaced."""
    with sh.Team(2, caller_works=False) as started:
        yield started


def increment(x: Any) -> None:
    x += 1


def note_rows(x: Any, rows: Any) -> None:
    rows[...] = len(x)


def total(x: Any) -> Any:
    return x.sum(axis=0)


# -- chunks ------------------------------------------------------------------


@given(
    shape=npst.array_shapes(max_dims=3, max_side=20, min_side=0),
    axis=st.integers(-3, 2),
    chunk=st.none() | st.integers(1, 25),
    schedule=st.sampled_from(["dynamic", "static"]),
    order=st.sampled_from("CF"),
    step=st.sampled_from([1, 2, -1]),
)
def test_each_element_is_in_one_chunk(
    teams: Any,
    shape: Any,
    axis: int,
    chunk: int | None,
    schedule: str,
    order: str,
    step: int,
) -> None:
    if not -len(shape) <= axis < len(shape):
        axis = 0
    x = sh.zeros(shape, order=order)
    teams.run(increment, x[::step], axis=axis, chunk=chunk, schedule=schedule)
    expected = np.zeros(shape)
    expected[::step] += 1
    assert np.array_equal(x, expected)


def test_chunks_have_the_size_that_the_user_says(teams: Any) -> None:
    x, rows = sh.zeros((10, 2)), sh.zeros(10)
    teams.run(note_rows, x, rows=rows, chunk=4)
    assert rows.tolist() == [4] * 8 + [2] * 2


def test_members_work_in_processes_of_their_own(team: Any) -> None:
    x = sh.zeros(100)
    team.run(elsewhere.pid_of_rows, x, schedule="static")
    assert set(x.tolist()) == set(team.pids())


def test_a_function_without_arrays_runs_once_and_returns_its_value(team: Any) -> None:
    assert team.run(os.getpid) in team.pids()
    assert team.run(dict, a=1) == {"a": 1}


# -- arguments ---------------------------------------------------------------


def test_a_private_array_is_refused(team: Any) -> None:
    with pytest.raises(sh.NotSharedError, match=r"'x' of 'increment'.*copy=True"):
        team.run(increment, np.zeros(3))
    with pytest.raises(sh.NotSharedError):
        team.run(increment, x=np.zeros(3))


def test_private_arrays_can_be_copied_in_and_back(team: Any) -> None:
    x = np.zeros((5, 2))
    team.run(increment, x[:, 0], copy=True)
    assert x.tolist() == [[1, 0]] * 5


@pytest.mark.parametrize("size", [3, 100_000])
def test_ordinary_arrays_arrive_in_full_and_read_only(teams: Any, size: int) -> None:
    def use(x: Any, table: Any, more: Any) -> None:
        x += table.sum() + more["a"].sum() + more["b"][0]

    def spoil(x: Any, table: Any) -> None:
        table[0] = 1

    table = np.arange(size)
    x = sh.zeros(8)
    more = {"a": table[::2], "b": [5]}
    teams.run(use, x, sh.whole(table), more)
    assert x.tolist() == [table.sum() + table[::2].sum() + 5] * 8
    for ordinary in (sh.whole(table), sh.whole(table[::2]), sh.whole(table[::-1])):
        with pytest.raises(ValueError, match="read-only"):
            teams.run(spoil, x, ordinary)
    with pytest.raises(ValueError, match="read-only"):
        teams.run(lambda x, more: more["a"].fill(0), x, more)
    assert table[0] == 0


def test_changes_of_ordinary_objects_are_lost_in_all_members(teams: Any) -> None:
    seen: list[int] = []
    teams.run(lambda x, seen: seen.append(1), sh.zeros(8), seen)
    assert seen == []


def test_shared_arrays_in_ordinary_objects_are_shared(teams: Any) -> None:
    counts = sh.zeros(1, "i8")
    teams.run(
        lambda x, o: sh.atomic.add(o["c"], 0, len(x)),
        sh.zeros(50),
        {"c": counts},
        reduce="sum",
    )
    assert counts[0] == 50


def test_a_list_of_shared_arrays_is_refused(team: Any) -> None:
    x = sh.zeros(3)
    with pytest.raises(TypeError, match=r"list with arrays.*sharray\.whole"):
        team.run(lambda x, y: None, x, [x])


def test_arrays_of_other_lengths_are_refused(team: Any) -> None:
    with pytest.raises(ValueError, match=r"x: 3, rows: 4.*whole"):
        team.run(note_rows, sh.zeros(3), sh.zeros(4))
    with pytest.raises(ValueError, match="1 dimensions along axis 1"):
        team.run(increment, sh.zeros(3), axis=1)


def test_wrong_arguments_are_refused_before_the_run(team: Any) -> None:
    with pytest.raises(TypeError, match=r"call increment\(x"):
        team.run(increment, sh.zeros(3), 1)
    with pytest.raises(TypeError, match="expected a kernel, a function or a ufunc"):
        team.run(3, sh.zeros(3))
    with pytest.raises(ValueError, match="a function of two values"):
        team.run(total, sh.zeros(3), reduce="mean")


def test_a_parameter_named_like_an_option_is_refused(team: Any) -> None:
    def sort(x: Any, axis: int = -1) -> None:
        x.sort(axis)

    x = sh.array([[3, 1, 2]] * 4)
    with pytest.raises(TypeError, match=r"'axis' of 'sort'.*functools\.partial"):
        team.run(sort, x, axis=0)
    with pytest.raises(TypeError, match="method of a ufunc"):
        team.run(np.add.reduce, x, reduce="sum")
    team.run(functools.partial(sort, axis=1), x)
    assert x.tolist() == [[1, 2, 3]] * 4


def test_what_cannot_be_pickled_is_refused_by_name(team: Any) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="cannot send a call of 'increment'"):
        team.run(functools.partial(increment), sh.whole(lock))
    with pytest.raises(TypeError, match="barrier, which only kernels"):
        team.run(lambda x, b: None, sh.zeros(3), sh.Barrier(2))


def test_read_only_arrays_stay_read_only(teams: Any) -> None:
    x = sh.zeros(5)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        teams.run(increment, x)


# -- functions ---------------------------------------------------------------


class Scale:
    """A callable object with a method."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> None:
        x *= self.factor

    def apply(self, x: Any) -> None:
        x *= self.factor


def test_any_callable_can_run(teams: Any) -> None:
    offset = 10.0

    def closure(x: Any) -> None:
        x += offset

    scale = Scale(2.0)
    x = sh.ones((4, 3))
    for function in (
        closure,
        lambda x: operator.iadd(x, offset) is None,
        scale,
        scale.apply,
        functools.partial(elsewhere.add, amount=5.0),
    ):
        teams.run(function, x, reduce="min" if "lambda" in str(function) else None)
    assert x.tolist() == [[(1 + 20) * 4 + 5.0] * 3] * 4


def test_globals_and_closures_are_those_of_now(
    teams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1

    def use(x: Any) -> None:
        x += FACTOR * limit

    x = sh.zeros(4)
    teams.run(use, x)
    limit = 2
    teams.run(use, x)
    monkeypatch.setitem(globals(), "FACTOR", 100)
    teams.run(use, x)
    assert x.tolist() == [3 + 6 + 200] * 4


@needs_jit
def test_functions_of_numba_run_as_functions(teams: Any) -> None:
    import numba

    @numba.njit
    def add_two(x: Any) -> None:
        for i in range(x.shape[0]):
            x[i] += 2

    x = sh.zeros(100)
    teams.run(add_two, x)
    assert x.tolist() == [2] * 100


# -- values ------------------------------------------------------------------


def test_a_value_that_nobody_takes_is_refused(teams: Any) -> None:
    with pytest.raises(TypeError, match=r"returned .*sharray\.map"):
        teams.run(total, sh.ones(10))
    with pytest.raises(TypeError, match="returned None"):
        teams.run(increment, sh.ones(10), reduce="sum")


@pytest.mark.parametrize("schedule", ["dynamic", "static"])
@pytest.mark.parametrize("reduce", ["sum", "min", "max"])
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f4", "f8", "c16"])
def test_arrays_are_reduced_as_numpy_does(
    teams: Any, dtype: str, reduce: str, schedule: str
) -> None:
    rng = np.random.default_rng(3)
    x = sh.array((rng.random((101, 7)) * 100).astype(dtype))
    function = {"sum": np.sum, "min": np.min, "max": np.max}[reduce]
    expected = function(np.asarray(x), axis=0)
    found = teams.run(
        functools.partial(function, axis=0, out=None),
        x,
        reduce=reduce,
        schedule=schedule,
        chunk=3,
    )
    assert found.dtype == expected.dtype
    assert np.allclose(found, expected, rtol=1e-5)
    assert type(found) is np.ndarray


def test_small_integers_do_not_overflow_in_a_sum(teams: Any) -> None:
    x = sh.full((300, 2), 1, "u1")
    found = teams.run(lambda x: x[0], x, reduce="sum", chunk=1)
    assert found.tolist() == [300, 300]
    flags = sh.full((300,), True)
    assert teams.run(lambda x: x[0], flags, reduce="sum", chunk=1) == 300


def test_nan_wins_in_min_and_max(teams: Any) -> None:
    x = sh.array([[1.0, np.nan], [np.nan, 2.0], [0.0, 1.0]])
    for reduce in ("min", "max"):
        assert np.isnan(teams.run(lambda x: x[0], x, reduce=reduce, chunk=1)).all()


def test_tuples_are_reduced_item_by_item(teams: Any) -> None:
    x = sh.array(np.arange(20.0))
    found = teams.run(
        lambda x: (len(x), np.asarray([x.sum(), 1.0])), x, reduce="sum", chunk=4
    )
    assert found[0] == 20
    assert found[1].tolist() == [190, 5]


def test_data_frames_are_reduced(teams: Any) -> None:
    pandas = pytest.importorskip("pandas")
    x = sh.array(np.arange(20.0))
    frame = teams.run(
        lambda x: pandas.DataFrame({"n": [len(x)], "s": [x.sum()]}),
        x,
        reduce="sum",
        chunk=4,
    )
    assert frame.to_dict("list") == {"n": [20], "s": [190.0]}


def test_a_function_can_be_the_reduction(teams: Any) -> None:
    x = sh.array(np.arange(1, 11))
    found = teams.run(lambda x: {int(v) for v in x}, x, reduce=operator.or_, chunk=3)
    assert found == set(range(1, 11))


def test_what_does_not_combine_is_refused(teams: Any) -> None:
    x = sh.zeros(10)
    with pytest.raises(TypeError, match="a list, which reduce='sum' does not combine"):
        teams.run(lambda x: [1], x, reduce="sum")
    with pytest.raises(ValueError, match="one shape"):
        teams.run(lambda x: np.zeros(len(x)), x[:5], reduce="sum", chunk=3)


def test_a_static_sum_is_the_same_in_each_run(team: Any) -> None:
    x = sh.array(np.random.default_rng(7).random((10_000, 3)))
    runs = [team.run(total, x, reduce="sum", schedule="static") for _ in range(5)]
    assert all(np.array_equal(runs[0], one) for one in runs)


def test_an_array_that_the_function_uses_again_is_copied(teams: Any) -> None:
    def count(x: Any, state: Any) -> Any:
        state["n"] = state.get("n", np.zeros(2))
        state["n"][...] = len(x)
        return state["n"]

    x = sh.zeros(30)
    assert teams.run(count, x, {}, reduce="sum", chunk=3).tolist() == [30, 30]


# -- errors ------------------------------------------------------------------


def test_an_exception_says_where(team: Any) -> None:
    def check(x: Any) -> None:
        if x[0] == 8:
            raise ValueError("eight")

    x = sh.array(np.arange(20))
    with pytest.raises(ValueError, match="eight") as caught:
        team.run(check, x, chunk=4)
    note = "\n".join(caught.value.__notes__)
    assert "raised in function 'check', in elements 8 to 11 of 20" in note
    assert "in worker process" in note
    assert note.count('raise ValueError("eight")') == 1
    increment_all(team)


def increment_all(team: Any) -> None:
    x = sh.zeros(100)
    team.run(increment, x, timeout=LONG)
    assert x.tolist() == [1] * 100


class OwnError(Exception):
    """An exception of a test module, which workers may have by value."""


def fail(x: Any, kind: Any, *args: Any) -> None:
    raise kind(*args)


@pytest.mark.parametrize("kind", [OwnError, KeyError, SystemExit, KeyboardInterrupt])
def test_exceptions_keep_their_class(team: Any, kind: Any) -> None:
    with pytest.raises(kind, match="why"):
        team.run(fail, sh.zeros(9), kind, "why")
    increment_all(team)


def test_an_exception_that_cannot_be_sent_is_told(team: Any) -> None:
    with pytest.raises(sh.TeamError, match="FailedError: one"):
        team.run(fail, sh.zeros(9), elsewhere.FailedError, "one", "other")
    with pytest.raises(TypeError, match="cannot send what"):
        team.run(lambda x: threading.Lock(), sh.zeros(9), reduce=lambda one, other: one)
    increment_all(team)


def test_an_exception_in_the_caller_has_its_traceback() -> None:
    with sh.Team(0) as team:
        with pytest.raises(ZeroDivisionError) as caught:
            team.run(lambda x: 1 / 0, sh.zeros(3), reduce="sum")
        assert caught.traceback[-1].name == "<lambda>"
        assert "in element 0 of 3" in caught.value.__notes__[0]


def test_a_death_names_the_function_and_the_chunk(mortal: Any) -> None:
    def end(x: Any) -> None:
        if x[0] == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    x = sh.array(np.arange(10))
    with pytest.raises(sh.WorkerDied, match="SIGKILL in a run of function 'end'") as e:
        mortal.run(end, x, chunk=5)
    assert e.value.chunk == (5, 10)
    assert e.value.kernel == "end"
    increment_all(mortal)


# -- time --------------------------------------------------------------------


def test_a_run_ends_at_its_timeout(mortal: Any) -> None:
    gate = sh.zeros(2, "i8")
    with pytest.raises(TimeoutError, match="function 'hold' did not finish in time"):
        mortal.run(elsewhere.hold, sh.zeros(2), sh.whole(gate), timeout=0.2)
    increment_all(mortal)


def test_a_submitted_run_can_be_cancelled(mortal: Any) -> None:
    gate = sh.zeros(2, "i8")
    future = mortal.submit(elsewhere.hold, sh.zeros(2), sh.whole(gate), chunk=1)
    until_inside(gate, 2)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(LONG)
    assert future.cancelled()
    increment_all(mortal)


def test_an_interrupt_ends_a_run(mortal: Any) -> None:
    gate = sh.zeros(2, "i8")

    def interrupt() -> None:
        until_inside(gate)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        mortal.run(elsewhere.hold, sh.zeros(2), sh.whole(gate), timeout=LONG)
    thread.join()
    increment_all(mortal)


def test_progress_counts_rows(teams: Any) -> None:
    seen: list[tuple[int, int]] = []
    teams.run(
        increment, sh.zeros((50, 2)), chunk=5, progress=lambda *now: seen.append(now)
    )
    assert seen[0] == (0, 50)
    assert seen[-1] == (50, 50)


# -- runs in runs ------------------------------------------------------------


def test_a_function_can_run_another_one(teams: Any) -> None:
    def outer(x: Any) -> None:
        sh.run(increment, x)
        x += sh.map(elsewhere.doubled, x)

    x = sh.zeros(20)
    teams.run(outer, x)
    assert x.tolist() == [3] * 20


def test_arrays_are_freed_after_a_run(team: Any) -> None:
    x = sh.zeros(1000)
    team.run(lambda x, y: None, x, sh.whole(np.zeros(100_000)))
    del x
    team_tools.until(lambda: files_in_ram() == [])


def test_arrays_that_follow_are_not_taken_for_those_before(team: Any) -> None:
    for number in range(5):
        x = sh.full(10, number)
        team.run(elsewhere.add, x, 1)
        assert x.tolist() == [number + 1] * 10
        del x


# -- workers -----------------------------------------------------------------


def test_workers_limit_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    with sh.Team(3, caller_works=False) as team:
        names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
        found = team.run(lambda names: [os.environ[n] for n in names], names)
    each = str(max(1, len(os.sched_getaffinity(0)) // 3))
    assert found == [each, each, "7"]


def test_workers_follow_to_another_directory(
    team: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert team.run(os.getcwd) == str(tmp_path)
