"""JupyterLab and a browser, which serve all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lab
import pytest
from selenium.webdriver import Chrome

import sharray as sh


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", type=Path, metavar="DIRECTORY", help="where pictures are kept"
    )


@pytest.fixture(scope="session")
def screenshots(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder for pictures."""
    chosen = request.config.getoption("--screenshots")
    found = request.config.invocation_params.dir / chosen if chosen else None
    place = found or tmp_path_factory.mktemp("screenshots")
    place.mkdir(parents=True, exist_ok=True)
    return place


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with lab.chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def address(home: Path, _private_ram_directory: None) -> Iterator[str]:
    with lab.jupyterlab(home) as started:
        yield started


@pytest.fixture
def gate() -> Iterator[sh.SharedArray]:
    """Yield what the kernels in the pages wait for."""
    yield sh.create("shm://gate", 2, "i8")
    sh.unlink("shm://gate")


@pytest.fixture
def open_page(browser: Chrome, address: str, home: Path) -> Iterator[object]:
    """Return a function that opens a notebook with some cells."""
    opened: list[lab.Page] = []

    def open_notebook(cells: list[str]) -> lab.Page:
        path = lab.write_notebook(home / "files" / "page.ipynb", cells)
        opened.append(lab.Page(browser, address, path))
        return opened[0]

    yield open_notebook
    for page in opened:
        page.shut_down()
