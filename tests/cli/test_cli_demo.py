"""``sharray demo``: its kernel against NumPy, and the command from end to end."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sharray as sh
from sharray.cli import main
from sharray.cli.commands.demo import hillshade
from sharray.cli.commands.demo.hillshade import Grid, Terrain, shade_rows, split
from sharray.team.workers.channel import Channel

pytestmark = pytest.mark.slow

DY, DX = np.float32(30), np.float32(20)

terrains = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(-9000, 9000, width=32),
)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    return place


@pytest.fixture
def run(temporary: Path):
    def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
        how = ["-c", code] if code else ["-W", "error::RuntimeWarning", "-m", "sharray"]
        # Returns when all processes that hold its output have ended.
        done = subprocess.run(
            [sys.executable, *how, *arguments],
            capture_output=True,
            text=True,
            timeout=500,
            env=os.environ | {"TMPDIR": str(temporary), "COLUMNS": "100"},
        )
        assert os.listdir(temporary) == []
        return done

    return run


def refusal(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["sharray", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    message = stopped.value.code
    assert isinstance(message, str)  # so the exit status is 1
    assert message.startswith("sharray: ")
    assert "\n" not in message
    return message


# -- the kernel --------------------------------------------------------------


def shade_with(kernel, terrain: Grid) -> Grid:
    light = np.full_like(terrain, 7)
    kernel(terrain, DY, DX, light)
    return light


def shade_with_numpy(terrain: Grid) -> Grid:
    return hillshade.hillshade(terrain, DY, DX)


def assert_close(found: Grid, expected: Grid) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None)  # the first example compiles
@given(terrains)
def test_kernel_agrees_with_numpy(terrain: Grid) -> None:
    assert_close(shade_with(shade_rows, terrain), shade_with_numpy(terrain))


@settings(deadline=None)
@given(terrains)
def test_kernel_agrees_with_numpy_when_not_compiled(terrain: Grid) -> None:
    assert_close(shade_with(shade_rows.py_func, terrain), shade_with_numpy(terrain))


@settings(deadline=None)
@given(terrains, st.integers(1, 12))
def test_chunks_of_a_team_give_the_same_as_the_whole(terrain: Grid, rows: int) -> None:
    ground, found = sh.array(terrain), sh.full_like(terrain, 7)
    with sh.Team(0) as team:
        team.run(shade_rows, ground, DY, DX, found, chunk=rows)
    assert_close(found, shade_with(shade_rows, terrain))


@given(terrains, st.integers(1, 100))
def test_parts_with_their_neighbours_give_the_same_as_the_whole(
    terrain: Grid, count: int
) -> None:
    found = np.full_like(terrain, 7)
    parts = split(Terrain(terrain, DY, DX), count)
    for rows, part, inner in parts:
        found[rows] = hillshade.hillshade(*part)[inner]
    np.testing.assert_array_equal(found, shade_with_numpy(terrain))
    assert len(parts) == min(count, len(terrain))
    assert sum(rows.stop - rows.start for rows, _, _ in parts) == len(terrain)


def test_a_slope_is_brightest_when_it_faces_the_brightest_lamps() -> None:
    rows, columns = np.mgrid[:5, :5].astype(np.float32) * 20
    facing_northwest = shade_with_numpy(rows + columns)
    facing_southeast = shade_with_numpy(-rows - columns)
    assert facing_northwest.min() > facing_southeast.max()


# -- its data and what is sent -------------------------------------------------


def test_the_terrain_has_points_every_90_metres_and_mirror_images() -> None:
    elevation, dy, dx = hillshade.load_terrain(1000)
    assert 70 < dx < dy < 95
    assert elevation.shape == (1000, 1000)
    rows, columns = hillshade.MODEL_SHAPE
    np.testing.assert_array_equal(elevation[:rows], elevation[rows : 2 * rows][::-1])
    model = elevation[:, :columns]
    np.testing.assert_array_equal(model, elevation[:, columns : 2 * columns][:, ::-1])
    assert not np.array_equal(model[0], model[1])
    assert hillshade.load_terrain(10).elevation.shape == (10, 10)


def test_a_team_is_sent_something_only_before_its_first_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elevation = np.random.default_rng(1).uniform(0, 100, (9, 7)).astype("f4")
    ground, light = sh.array(elevation), sh.zeros_like(elevation)
    sent: list[object] = []
    send = Channel.send

    def note(channel: Channel, message: object) -> None:
        sent.append(message)
        send(channel, message)

    monkeypatch.setattr(Channel, "send", note)
    with sh.Team(1) as team:
        team.run(shade_rows, ground, DY, DX, light)
        assert sent
        sent.clear()
        team.run(shade_rows, ground, DY, DX, light)
        assert sent == []
    assert_close(light, shade_with_numpy(elevation))


# In processes of their own, because the first worker that a pool spawns starts the
# resource tracker, which keeps a pipe open as long as this process lives.


@pytest.mark.parametrize(
    "where",
    [
        """
import sharray as sh
def run(*_):
    raise sh.WorkerDied("a worker process died")
sh.Team.run = run
""",
        """
import os
from concurrent.futures import ProcessPoolExecutor as Pool
submit = Pool.submit
Pool.submit = lambda pool, *_: submit(pool, os._exit, 3)
""",
    ],
    ids=["team", "pool"],
)
def test_worker_that_dies_is_reported(run, where: str) -> None:
    code = f"{where}\nfrom sharray.cli import main; main()"
    done = run("demo", "--size", "20", "--workers", "2", code=code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sharray: a worker process died")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "work", ["Team.run(*arguments)", "Pool.submit(*arguments).result()"]
)
def test_ctrl_c_leaves_no_file_and_no_process(run, work: str) -> None:
    function = work.partition("(")[0]
    code = f"""
import os, signal
from concurrent.futures import ProcessPoolExecutor as Pool
from sharray import Team
from sharray.cli import main
original = {function}
def work_and_interrupt(*arguments):
    {work.replace(function, "original")}
    os.killpg(0, signal.SIGINT)
{function} = work_and_interrupt
os.setsid()
main()
"""
    done = run("demo", "--size", "20", "--workers", "3", code=code)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


INTERRUPTED_IMPORT = """
import os, signal, sys
if "--multiprocessing-fork" in sys.orig_argv:
    open(f"started-{os.getpid()}", "x").close()
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_while_workers_of_the_pool_import_is_not_theirs(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_IMPORT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    done = run("demo", "--size", "20", "--workers", "2")
    assert len(list(tmp_path.glob("started-*"))) == 2
    assert (done.returncode, done.stderr) == (0, "")


def test_result_that_differs_is_an_error(run) -> None:
    code = """
from sharray.cli import main
from sharray.cli.commands.demo import command
command._TOLERANCE = -1
main()
"""
    done = run("demo", "--size", "20", "--workers", "1", "--save", "x.png", code=code)
    assert done.returncode == 1
    assert "pool of 1, pickled" in done.stdout
    assert "expected at most -1, got" in done.stderr
    assert not os.path.exists("x.png")


# -- the command -------------------------------------------------------------


def test_demo_from_end_to_end(run, tmp_path: Path) -> None:
    done = run("demo", "--size", "500", "--workers", "2", "--save", "out.png")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "Jacksboro fault: 500 x 500 points",
        "NumPy, one process",
        "kernel, one process",
        "pool of 2, pickled",
        "team of 2, in place",
        "'out.png'",
    ):
        assert text in done.stdout
    header = (tmp_path / "out.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == (3 * 403, 3 * 344)
    assert sorted(os.listdir(tmp_path)) == ["out.png", "temporary"]


def test_demo_of_the_smallest_terrain_in_this_process_alone(run) -> None:
    done = run("demo", "--size", "2", "--workers", "1", "--save", "out.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert "team of 1, in place" in done.stdout


# -- what is refused ---------------------------------------------------------


@pytest.mark.parametrize("name", ["nowhere/out.png", "/proc/out.png", "out.xyz", "out"])
def test_picture_that_cannot_be_saved_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(hillshade, "load_terrain", None)
    assert name in refusal(monkeypatch, "demo", "--save", name)


def test_a_disk_without_room_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sh, "create", fail)
    monkeypatch.setattr(hillshade, "in_pool", lambda *_: None)
    assert "No space left" in refusal(monkeypatch, "demo", "--size", "20")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.cbook", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "sharray[demo]" in refusal(monkeypatch, "demo")
    assert "sharray[demo]" in refusal(monkeypatch, "demo", "--save", "x.png")
