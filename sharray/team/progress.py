"""A progress bar for a run, in terminals and notebooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ..errors import TeamError

# Called with the number of chunks done and the number of all chunks.
ShowProgress = Callable[[int, int], object]


class Bar:
    """A tqdm bar that counts chunks.

    Parameters
    ----------
    name : str
        Name of the kernel.

    Raises
    ------
    TeamError
        tqdm is not installed.
    """

    def __init__(self, name: str) -> None:
        try:
            with warnings.catch_warnings():
                # In a notebook without ipywidgets, tqdm warns and prints a text bar.
                warnings.filterwarnings("ignore", "IProgress not found")
                from tqdm.auto import tqdm
        except ImportError as error:
            raise TeamError(
                "progress=True needs tqdm; run pip install tqdm, or install sharray as "
                "sharray[progress]"
            ) from error
        self._bar: Any = tqdm(desc=name, unit="chunk")

    def show(self, done: int, total: int) -> None:
        """Show the number of chunks done."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.refresh()
        self._bar.close()
