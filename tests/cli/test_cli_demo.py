"""``sharray demo``: its kernel against NumPy, and the command from end to end."""

from __future__ import annotations

import json
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
from sharray.cli.commands.demo import elevation, measure, pickled
from sharray.cli.commands.demo.steps import show_steps
from sharray.cli.commands.demo.terrain import (
    Grid,
    Terrain,
    hillshade,
    shade_rows,
    split,
)
from sharray.team.workers.channel import Channel

pytestmark = pytest.mark.slow

DY, DX = np.float32(30), np.float32(20)

terrains = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(-9000, 9000, width=32) | st.just(float("nan")),
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
    shade = np.full_like(terrain, 7)
    kernel(terrain, DY, DX, shade)
    return shade


def assert_close(found: Grid, expected: Grid) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None)  # the first example compiles
@given(terrains)
def test_kernel_agrees_with_numpy(terrain: Grid) -> None:
    assert_close(shade_with(shade_rows, terrain), hillshade(terrain, DY, DX))


@settings(deadline=None)
@given(terrains)
def test_kernel_agrees_with_numpy_when_not_compiled(terrain: Grid) -> None:
    assert_close(shade_with(shade_rows.py_func, terrain), hillshade(terrain, DY, DX))


@settings(deadline=None)
@given(terrains, st.integers(1, 12))
def test_chunks_of_a_team_give_the_same_as_the_whole(terrain: Grid, rows: int) -> None:
    ground, found = sh.array(terrain), sh.full_like(terrain, 7)
    with sh.Team(0) as team:
        team.run(shade_rows, ground, DY, DX, found, chunk=rows)
    np.testing.assert_array_equal(found, shade_with(shade_rows, terrain))


@settings(deadline=None)
@given(terrains, st.integers(1, 12))
def test_parts_with_their_neighbours_give_the_same_as_the_whole(
    terrain: Grid, count: int
) -> None:
    calls = pickled.calls_of(Terrain(terrain, DY, DX), split(len(terrain), count))
    found = np.concatenate([pickled.shade_and_return(*call) for call in calls])
    np.testing.assert_array_equal(found, shade_with(shade_rows, terrain))


@given(st.integers(1, 1000), st.integers(1, 100))
def test_chunks_cover_all_rows_once(rows: int, count: int) -> None:
    chunks = split(rows, count)
    assert [i for c in chunks for i in range(c.begin, c.end)] == list(range(rows))
    assert all(0 <= c.low <= c.begin < c.end <= c.high <= rows for c in chunks)


def test_a_slope_is_brightest_when_it_faces_the_brightest_lamps() -> None:
    rows, columns = np.mgrid[:5, :5].astype(np.float32) * 20
    facing_northwest = hillshade(rows + columns, DY, DX)
    facing_southeast = hillshade(-rows - columns, DY, DX)
    assert facing_northwest.min() > facing_southeast.max()


# -- what it works on --------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4), (2, 3), (20, 17), (130, 5)])
def test_a_terrain_is_continued_by_mirror_images(shape: tuple[int, int]) -> None:
    values = np.arange(12, dtype=">i2").reshape(3, 4)
    target = np.empty(shape, np.float32)
    done: list[int] = []
    elevation.fill(target, elevation.Source("", values, 1, 1), done.append)
    expected = np.pad(values, [(0, 140), (0, 140)], mode="symmetric")
    np.testing.assert_array_equal(target, expected[: shape[0], : shape[1]])
    assert sum(done) == shape[0]


def test_gaps_become_nan() -> None:
    values = np.array([[1, np.inf, -np.inf], [np.nan, 1e300, 2], [-3.4e38, 0, 1]])
    target = np.empty((3, 3), np.float32)
    elevation.fill(target, elevation.Source("", values, 1, 1), lambda n: None)
    gap = np.nan
    np.testing.assert_array_equal(target, [[1, gap, gap], [gap, gap, 2], [gap, 0, 1]])


def test_bundled_terrain_has_cells_of_90_metres() -> None:
    source = elevation.load_bundled()
    assert source.values.shape == (344, 403)
    assert 70 < source.dx < source.dy < 95


# -- measuring and checking --------------------------------------------------


def small_terrain() -> Terrain:
    ground = sh.create("ground.npy", (9, 7), "f4")
    ground[...] = np.random.default_rng(1).uniform(0, 100, (9, 7))
    return Terrain(ground, DY, DX)


def test_check_notices_one_wrong_element() -> None:
    terrain = small_terrain()
    right = hillshade(np.asarray(terrain.elevation), DY, DX)
    wrong, missing = right.copy(), right.copy()
    wrong[5, 3] += 0.5
    missing[5, 3] = np.nan
    with show_steps() as steps:
        assert measure.check(terrain, [right], steps)[0] < 1e-6
        assert measure.check(terrain, [right, wrong], steps)[0] == pytest.approx(0.5)
        assert measure.check(terrain, [missing, right], steps)[0] == np.inf


def test_a_team_is_sent_something_only_before_its_first_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terrain = small_terrain()
    shade = sh.zeros_like(terrain.elevation)
    sent: list[object] = []
    send = Channel.send

    def note(channel: Channel, message: object) -> None:
        sent.append(message)
        send(channel, message)

    monkeypatch.setattr(Channel, "send", note)
    with sh.Team(1) as team:
        team.run(shade_rows, *terrain, shade)
        assert sent
        sent.clear()
        team.run(shade_rows, *terrain, shade)
        assert sent == []
    assert_close(shade, hillshade(np.asarray(terrain.elevation), DY, DX))


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
from sharray.cli.commands.demo import pickled
pickled.run = lambda pool, *_: pool.submit(os._exit, 3).result()
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


@pytest.mark.parametrize("where", ["sharray.Team.run", "demo.pickled.run"])
def test_ctrl_c_leaves_no_file_and_no_process(run, where: str) -> None:
    code = f"""
import os, signal
import sharray
from sharray.cli import main
from sharray.cli.commands import demo
from sharray.cli.commands.demo import pickled
work = {where}
def work_and_interrupt(*arguments):
    work(*arguments)
    os.killpg(0, signal.SIGINT)
{where} = work_and_interrupt
os.setsid()
main()
"""
    os.mkdir("kept")
    # Returns when all who hold its output have ended.
    options = ("--size", "20", "--workers", "3", "--directory", "kept")
    done = run("demo", *options, code=code)
    assert done.returncode == 130
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert os.listdir("kept") == []


def test_ctrl_c_while_a_pool_starts_is_not_heard(run) -> None:
    # It would leave the semaphores that are not yet registered with the tracker.
    code = """
import os, signal
from sharray.cli.commands.demo import pickled
make = pickled.ProcessPoolExecutor
def interrupt_and_make(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    return make(*arguments)
pickled.ProcessPoolExecutor = interrupt_and_make
with pickled.start_pool(1):
    print("started")
"""
    assert run(code=code).stdout == "started\n"


@pytest.mark.parametrize(
    "start", ["sharray.Team(2)", "pickled.start_pool(2)"], ids=["team", "pool"]
)
def test_workers_end_when_the_parent_is_killed(run, start: str) -> None:
    code = f"""
import os, signal
import sharray
from sharray.cli.commands.demo import pickled
with {start}:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    # Returns when all who hold its output have ended.
    assert run(code=code).returncode == -9


def test_result_that_differs_is_an_error(run) -> None:
    code = """
from sharray.cli import main
from sharray.cli.commands.demo import command
command._TOLERANCE = -1
main()
"""
    done = run("demo", "--size", "20", "--workers", "1", code=code)
    assert done.returncode == 1
    assert "pool of 1, pickled" in done.stdout
    assert "the result differs from that of plain NumPy by 0" in done.stderr


# -- the command -------------------------------------------------------------


def test_demo_from_end_to_end(run, tmp_path: Path) -> None:
    done = run("demo", "--size", "300", "--workers", "2", "--save", "out.png")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "Jacksboro fault, Tennessee: 300 x 300 points, 360.0 kB",
        "one process",
        "team of 2, in place",
        "The team is this process and 1 worker process.",
        "pool of 2, pickled",
        "plain NumPy",
    ):
        assert text in done.stdout
    header = (tmp_path / "out.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == (1200, 1200)


def test_demo_as_json(run) -> None:
    done = run("demo", "--size", "200", "--workers", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["shape"], found["processes"]) == ([200, 200], 1)
    names = [way["name"] for way in found["ways"]]
    assert names == ["one process", "team of 1, in place", "pool of 1, pickled"]
    assert all(way["seconds"] > 0 for way in found["ways"])
    assert found["largest_difference"] <= 1e-5


def test_handles_are_small_and_pickled_calls_hold_everything() -> None:
    ground = sh.create("ground.npy", (200, 300), "f4")
    calls = pickled.calls_of(Terrain(ground, DY, DX), split(200, 4))
    assert pickled.count_bytes([ground]) < 1000
    assert pickled.count_bytes(calls) > ground.nbytes


def test_demo_on_a_file_leaves_it_alone_and_keeps_its_results(
    run, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 3000, (61, 47)).astype("i2")
    np.save("mine.npy", values)
    os.chmod("mine.npy", 0o400)
    before = Path("mine.npy").read_bytes()
    os.mkdir("kept")
    options = ("--workers", "2", "--cell", "10", "--directory", "kept")
    done = run("demo", "mine.npy", *options, "--save", "mine.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert "mine.npy: 61 x 47 points" in done.stdout
    assert Path("mine.npy").read_bytes() == before
    expected = hillshade(values.astype("f4"), np.float32(10), np.float32(10))
    assert_close(np.load("kept/hillshade.npy"), expected)
    np.testing.assert_array_equal(np.load("kept/elevation.npy"), values)
    from matplotlib.image import imread

    assert imread("mine.png").shape == (1200, 924, 4)
    assert sorted(os.listdir("kept")) == ["elevation.npy", "hillshade.npy"]


def test_demo_on_a_file_with_gaps_in_fortran_order(run) -> None:
    values = np.asfortranarray(np.random.default_rng(0).uniform(0, 900, (40, 30)))
    values[3:5, 7] = np.nan
    values[20, 20] = np.inf
    np.save("gaps.npy", values.astype(">f8"))
    done = run("demo", "gaps.npy", "--workers", "1", "--save", "gaps.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The team is this process alone." in done.stdout


def test_demo_keeps_no_files_of_a_run_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sharray.cli.commands.demo.command.measure", fail)
    message = refusal(monkeypatch, "demo", "--size", "20", "--directory", ".")
    assert "No space left" in message
    assert os.listdir() == []


def test_demo_overwrites_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hillshade.npy").write_text("precious")
    message = refusal(monkeypatch, "demo", "--size", "20", "--directory", ".")
    assert "exists" in message
    assert Path("hillshade.npy").read_text() == "precious"
    assert os.listdir() == ["hillshade.npy"]


# -- what is refused ---------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(5), "shape (5,)"),
        (np.zeros((2, 3, 4)), "shape (2, 3, 4)"),
        (np.zeros((1, 9)), "shape (1, 9)"),
        (np.zeros((9, 1)), "shape (9, 1)"),
        (np.zeros((0, 4)), "shape (0, 4)"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.zeros((4, 4), bool), "bool"),
        (np.zeros((4, 4), "S3"), "S3"),
        (np.zeros((4, 4), [("a", "f4")]), "dtype [('a', '<f4')]"),
    ],
)
def test_array_that_is_no_terrain(
    monkeypatch: pytest.MonkeyPatch, values: np.ndarray, expected: str
) -> None:
    np.save("bad.npy", values)
    assert expected in refusal(monkeypatch, "demo", "bad.npy")


def test_file_that_is_no_array(run) -> None:
    Path("bad.npy").write_text("hello\nworld\n")
    done = run("demo", "bad.npy")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sharray: ")
    assert done.stderr.count("\n") == 1
    assert "bad.npy" in done.stderr


def test_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nowhere.npy" in refusal(monkeypatch, "demo", "nowhere.npy")


@pytest.mark.parametrize("name", ["nowhere/out.png", "out.xyz", "out"])
def test_picture_that_cannot_be_saved_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert name in refusal(monkeypatch, "demo", "--size", "20", "--save", name)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_command_lines_libraries(run, missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from sharray.cli import main; main()"
    )
    done = run("demo", code=code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"sharray: the command line needs {missing}, which is not installed: "
        "pip install 'sharray[cli]'\n"
    )


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.cbook", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "sharray[demo]" in refusal(monkeypatch, "demo")
    assert "sharray[demo]" in refusal(monkeypatch, "demo", "x", "--save", "x.png")


def test_version_and_help(run) -> None:
    assert run("--version").stdout == f"sharray {sh.__version__}\n"
    assert "demo" in run("--help").stdout


def test_importing_the_library_and_the_command_imports_no_numba(run) -> None:
    code = (
        "import sys, sharray, sharray.cli.app\n"
        "print({'numba', 'matplotlib'} & set(sys.modules))"
    )
    assert run(code=code).stdout == "set()\n"
