"""A real Jupyter kernel, driven cell by cell."""

from __future__ import annotations

import os
import queue
import re
import tempfile
import time
from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest
import zmq
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_core.utils import ensure_event_loop

# Long enough for any machine; a test waits this long only if something is wrong.
LONG = 500.0

PRESSES = 20  # of a button that may need to be pressed again

# In CPython 3.11 and 3.12, the jump back of some loops has no line (gh-107901). IPython
# cannot show an interrupt that arrives there. It prints this and a traceback instead.
NOT_SHOWN = (
    "Unexpected exception formatting exception. Falling back to standard exception\n"
)
NO_LINE = re.compile(r"line (None|-1), in .*\n(.*\n)*KeyboardInterrupt\n")

# `make test-notebooks` sets it: how often to repeat what happens at random moments.
ROUNDS = int(os.environ.get("NOTEBOOK_ROUNDS", "1"))


class Cell(NamedTuple):
    """The output of a cell.

    Attributes
    ----------
    stdout, stderr : str
        What was printed.
    shown : dict
        The last value or display, by MIME type.
    error : tuple of str
        Name, message and traceback of what was raised; empty if nothing was.
    """

    stdout: str
    stderr: str
    shown: dict[str, Any]
    error: tuple[str, ...]


class Running:
    """A cell that has been sent to the kernel."""

    def __init__(self, client: BlockingKernelClient, code: str) -> None:
        self._client = client
        self._number = client.execute(code)
        self._printed = {"stdout": "", "stderr": ""}
        self._shown: dict[str, Any] = {}
        self._error: tuple[str, ...] = ()
        self._has_begun = self._is_done = False

    def begin(self) -> None:
        """Wait until the kernel has received the cell."""
        while not self._has_begun:
            self._read(LONG)

    def finish(self, seconds: float = LONG) -> Cell:
        """Wait for the end of the cell, some seconds after each message at most."""
        while not self._is_done:
            self._read(seconds)
        reply = self._reply()
        if reply["status"] == "error" and not self._error:
            text = self._take_traceback() if "traceback" in reply else ""
            self._error = reply["ename"], reply["evalue"], text
        return Cell(*self._printed.values(), self._shown, self._error)

    def _reply(self) -> dict[str, Any]:
        """Return the content of the reply, which IPython sends also without a display.

        It says "aborted" if an earlier cell failed. An interrupt right before or after
        the code of the cell reaches ipykernel itself, which then sends none. It answers
        in order: the answer to a later question tells that there is no earlier one.
        """
        question = self._client.kernel_info()
        while True:
            try:
                message = self._client.get_shell_msg(timeout=LONG)
            except ValueError:  # the signature is wrong
                # An interrupt in the middle of a message that the kernel sends: what it
                # has sent of that is received as the beginning of its next message.
                question = self._client.kernel_info()
                continue
            match message["parent_header"].get("msg_id"):
                case self._number:
                    return dict(message["content"])
                case number if number == question:
                    return {
                        "status": "error",
                        "ename": "KeyboardInterrupt",
                        "evalue": "",
                    }

    def _take_traceback(self) -> str:
        """Take a traceback that IPython could not show out of the printed text."""
        before, found, traceback = self._printed["stderr"].partition("Traceback (most")
        assert NO_LINE.search(traceback), f"an error is not shown: {self._printed}"
        self._printed["stderr"] = before
        self._printed["stdout"] = self._printed["stdout"].replace(NOT_SHOWN, "")
        return found + traceback

    def _read(self, seconds: float) -> None:
        message = self._client.get_iopub_msg(timeout=seconds)
        if message["parent_header"].get("msg_id") != self._number:
            return
        content = message["content"]
        match message["msg_type"]:
            case "execute_input":
                self._has_begun = True
            case "stream":
                self._printed[content["name"]] += content["text"]
            case "execute_result" | "display_data":
                self._shown = content["data"]
            case "error":
                traceback = "\n".join(content["traceback"])
                self._error = content["ename"], content["evalue"], traceback
            case "status":
                self._is_done = content["execution_state"] == "idle"


class Kernel:
    """A kernel, and a client of it."""

    def __init__(self, manager: KernelManager) -> None:
        self._manager = manager
        self._connect()

    def _connect(self) -> None:
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=LONG)

    @property
    def pid(self) -> int:
        """Return the number of its process."""
        return int(self._manager.provisioner.pid)

    def start(self, code: str) -> Running:
        """Send a cell, and do not wait for it."""
        return Running(self._client, code)

    def run(self, code: str) -> Cell:
        """Run a cell that raises nothing."""
        cell = self.start(code).finish()
        assert cell.error == (), cell.error[-1]
        return cell

    def value(self, code: str) -> Any:
        """Return the last value of a cell that shows a literal."""
        return literal_eval(self.run(code).shown["text/plain"])

    def forget_error(self) -> None:
        """Drop the objects that the frames of the last error keep."""
        assert self.start("1 / 0").finish().error[0] == "ZeroDivisionError"
        self.run("import gc; gc.collect()")

    def interrupt(self) -> None:
        """Interrupt the kernel like the interrupt button."""
        self._manager.interrupt_kernel()

    def stop(self, cell: Running) -> Cell:
        """Press the interrupt button again and again, until a cell ends.

        Waits of CPython may need that: it loses a signal that comes just before the
        wait, as in `lost_signals`. Waits of sharray do not: press once for them.
        """
        for _ in range(PRESSES):
            self.interrupt()
            with suppress(queue.Empty):
                return cell.finish(LONG / PRESSES)
        raise AssertionError("the stop button does not end the cell")

    def restart(self) -> None:
        """Restart the kernel like the restart button."""
        self._client.stop_channels()
        self._manager.restart_kernel()
        self._connect()

    def kill(self) -> None:
        """Kill its process."""
        self._manager.signal_kernel(9)
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """Wait until its process has ended."""
        until = time.monotonic() + LONG
        while self._manager.is_alive():
            assert time.monotonic() < until
            time.sleep(0.001)

    def close(self) -> None:
        """Shut the kernel down, like closing the notebook."""
        self._client.stop_channels()
        self._manager.shutdown_kernel()


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Yield a kernel in the working directory of the test."""
    context = zmq.Context()
    # Sockets have names: another process could take a free port.
    with tempfile.TemporaryDirectory(prefix="kernel-") as place:
        manager = KernelManager(
            kernel_name="python3", context=context, transport="ipc", ip=f"{place}/k"
        )
        # Ignore the settings of the user who runs this.
        manager.start_kernel(env=os.environ | {"IPYTHONDIR": place})
        running = Kernel(manager)
        try:
            yield running
        finally:
            running.close()
            context.destroy(linger=0)


@pytest.fixture(scope="session", autouse=True)
def event_loop_of_clients() -> Iterator[None]:
    """Start the event loop that jupyter_client keeps, before leaks are checked."""
    loop = ensure_event_loop()
    yield
    loop.close()
