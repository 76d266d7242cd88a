"""JupyterLab and Chromium, started for a test, and the notebook that is open there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

LONG = 200.0  # seconds; a test waits this long only if something is wrong

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = [
    "--headless",
    "--no-sandbox",  # root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1000,1600",
]
_SETTINGS = {
    "notebook-extension/tracker": {
        "windowingMode": "none"
    },  # all cells are in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
# Through the application that `--expose-app-in-browser` gives to scripts.
_PANEL = "const panel = jupyterapp.shell.currentWidget;"
_CELLS = """
return panel.content.widgets.filter(cell => cell.model.type === "code").map(cell => ({
    count: cell.model.executionCount,
    running: cell.model.executionState === "running",
    outputs: cell.model.outputs.toJSON(),
}));
"""


def wait(condition: Callable[[], Any]) -> Any:
    """Wait until a condition is true; return its value."""
    end = time.monotonic() + LONG
    while not (found := condition()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.01)
    return found


def _program(*names: str) -> str:
    """Return the path of one of some programs."""
    for path in map(shutil.which, names):
        if path is not None:
            return path
    pytest.exit(
        f"these tests need a browser: found none of {', '.join(names)}; install "
        "Chromium and its driver, on Debian with: apt install chromium chromium-driver",
        returncode=1,
    )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def jupyterlab(home: Path) -> Iterator[str]:
    """Yield the address of a JupyterLab that serves an empty folder.

    It has neither settings of the user nor a token; only this machine can reach it.
    """
    for name, values in _SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    (home / "files").mkdir()
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    places = {name: str(home / name.lower()) for name in (*names, "IPYTHONDIR")}
    places["JUPYTERLAB_SETTINGS_DIR"] = str(home / "settings")
    places["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "workspaces")
    port = _free_port()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", "--expose-app-in-browser"),
        f"--ServerApp.root_dir={home / 'files'}",
    ]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | places
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.poll() is None, (home / "log").read_text()
        with suppress(OSError), urllib.request.urlopen(f"{address}/api"):
            return True
        return False

    try:
        wait(answers)
        yield address
    finally:
        server.terminate()  # it shuts its kernels down
        server.wait(LONG)


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Yield a browser with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = _program(*_BROWSERS)
    for option in (*_OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    browser = Chrome(options, Service(_program("chromedriver")))
    browser.set_script_timeout(LONG)
    try:
        yield browser
    finally:
        browser.quit()


class Page:
    """A notebook that is open in the browser."""

    def __init__(self, browser: Chrome, address: str, path: Path) -> None:
        self._browser = browser
        browser.get(f"{address}/lab/tree/{path.name}?reset")
        wait(lambda: browser.execute_script("return window.jupyterapp !== undefined"))
        browser.execute_async_script("jupyterapp.restored.then(arguments[0])")
        wait(
            lambda: self._in_panel("return !!(panel?.content && panel.sessionContext)")
        )
        self.wait_until_idle()
        if self.evaluate("return !jupyterapp.shell.leftCollapsed"):
            self.command("application:toggle-left-area")

    def _in_panel(self, script: str) -> Any:
        return self._browser.execute_script(_PANEL + script)

    def command(self, name: str, **arguments: object) -> None:
        """Execute a command of the menu, and do not wait for it."""
        self._browser.execute_script(
            "jupyterapp.commands.execute(arguments[0], arguments[1])", name, arguments
        )

    def press(self, button: str) -> None:
        """Press a button of the toolbar."""
        self.find(f".jp-NotebookPanel-toolbar [data-jp-item-name={button}]").click()

    def find(self, selector: str) -> Any:
        """Return the first element that a CSS selector finds, once there is one."""
        found = wait(lambda: self._browser.find_elements(By.CSS_SELECTOR, selector))
        return found[0]

    def wait_until_idle(self) -> None:
        """Wait until the kernel is there and idle."""
        status = "return panel.sessionContext.session?.kernel?.status === 'idle'"
        wait(lambda: self._in_panel(status))

    def use_theme(self, name: str) -> None:
        """Show the page in light or dark."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name.title()}")
        wanted = str(name == "light").lower()
        wait(
            lambda: (
                self._browser.execute_script(
                    "return document.body.dataset.jpThemeLight"
                )
                == wanted
            )
        )

    def shut_down(self) -> None:
        """End the kernel, and close the notebook without saving it."""
        self._browser.execute_async_script(
            _PANEL + "panel.sessionContext.shutdown().then(arguments[0])"
        )

    # -- cells ---------------------------------------------------------------

    def cells(self) -> list[dict[str, Any]]:
        """Return count, state and outputs of the code cells."""
        return list(self._in_panel(_CELLS))

    def run_cell(self, number: int) -> None:
        """Run one code cell, and do not wait for it."""
        self._in_panel(f"panel.content.activeCellIndex = {number}")
        self.command("notebook:run-cell")

    def finish_cell(self, number: int) -> list[dict[str, Any]]:
        """Run one code cell, and return its outputs."""
        self._browser.execute_async_script(
            _PANEL + "panel.content.activeCellIndex = arguments[0];"
            "jupyterapp.commands.execute('notebook:run-cell').then(arguments[1])",
            number,
        )
        self.wait_until_idle()
        return list(self.cells()[number]["outputs"])

    def output(self, number: int) -> Any:
        """Return the element with the outputs of a code cell."""
        found = self._browser.find_elements(
            By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell .jp-Cell-outputArea"
        )
        return found[number]

    def evaluate(self, script: str, *arguments: object) -> Any:
        """Return the value of a function's body in JavaScript."""
        return self._browser.execute_script(script, *arguments)

    def take_picture(self, number: int, path: Path) -> None:
        """Save the picture of a code cell."""
        cells = self._browser.find_elements(
            By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"
        )
        self.evaluate("arguments[0].scrollIntoView({block: 'center'})", cells[number])
        path.write_bytes(cells[number].screenshot_as_png)


def write_notebook(path: Path, cells: list[str]) -> Path:
    """Write a notebook of code cells."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, path)
    return path
