"""The card in a real Jupyter kernel: shown once, and refreshed in place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import notebook_kernel
import pytest
from notebook_kernel import LONG, Kernel, kernel

event_loop_of_clients = notebook_kernel.event_loop_of_clients
pytestmark = pytest.mark.slow


@pytest.fixture
def notebook(tmp_path: Path, _no_leaks: None) -> Iterator[Kernel]:
    with kernel() as started:
        started.run("import os\nimport numpy as np\nimport sharray as sh")
        yield started


def test_a_card_is_refreshed_in_place(notebook: Kernel) -> None:
    notebook.run("a = sh.create('a.npy', 3)")
    first = notebook.run("handle = display(a, display_id=True)").shown
    assert "flush() makes it durable" in first["text/html"]
    os.remove("a.npy")
    running = notebook.start("handle.update(a)")
    found = []
    while not found:
        message = notebook._client.get_iopub_msg(timeout=LONG)
        if message["msg_type"] == "update_display_data":
            found.append(message["content"])
    running.finish()
    assert "its file was removed" in found[0]["data"]["text/html"]
    assert "STALE, its file was removed" in found[0]["data"]["text/plain"]
    assert found[0]["transient"]["display_id"]


def test_a_truncated_array_does_not_end_the_kernel(notebook: Kernel) -> None:
    shown = notebook.run(
        "a = sh.create('a.npy', 100_000)\nos.truncate('a.npy', 100)\na"
    ).shown
    assert "was truncated to 100 bytes" in shown["text/html"]
    assert "not shown" in shown["text/html"]
    assert "not shown" in shown["text/plain"]
    assert notebook.value("1 + 1") == 2
