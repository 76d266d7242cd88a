"""Code shared by the tests of hostile files: make files, and check errors."""

from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sharray as sh

_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
# Every message has one of these words to tell the reader what to do.
_ADVICE = re.compile(
    r"\b(check|choose|create|drop|end|give|keep|make|name|open|opened|pass|raise"
    r"|remove|restore|run|save|send|use|wait|write|writes|makes|expected)\b"
)


def header_text(
    descr: str = "'<f8'", fortran_order: str = "False", shape: str = "(3,)"
) -> str:
    """Return the text of a header's dictionary; values are texts."""
    return f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}}}\n"


def npy(text: str | bytes, data: bytes = bytes(256), version: int = 1) -> bytes:
    """Return a ``.npy`` file whose header has this text."""
    body = text if isinstance(text, bytes) else text.encode()
    length = struct.pack(_LENGTHS[version], len(body))
    return b"\x93NUMPY" + bytes([version, 0]) + length + body + data


def refused(
    kind: type[sh.SharrayError],
    action: Callable[[], Any],
    says: str = "",
    path: str | Path | None = None,
) -> sh.SharrayError:
    """Return the error that `action` raises, after checks of its form."""
    with pytest.raises(sh.SharrayError) as caught:
        action()
    error = caught.value
    assert type(error) is kind, error
    assert re.search(says, str(error)), error
    assert _ADVICE.search(str(error)), f"says not what to do: {error}"
    if path is not None:
        assert error.path == os.path.abspath(path)
    assert_survives_pickling(error)
    return error


def assert_survives_pickling(error: sh.SharrayError) -> None:
    """Check that an error keeps everything in a pickle."""
    clone = pickle.loads(pickle.dumps(error))
    assert type(clone) is type(error)
    assert (str(clone), clone.path) == (str(error), error.path)
    for attribute in ("errno", "filename", "strerror"):
        assert getattr(clone, attribute, None) == getattr(error, attribute, None)
