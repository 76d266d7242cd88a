"""The Python function of a kernel: present here, or pickled by its sender."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from ..errors import KernelError
from .references import foreign_function, may_use_prange, thread_function

Function = Callable[..., Any]


class Source:
    """A kernel's function, with the options for numba.

    Parameters
    ----------
    name : str
        The kernel's name, for messages.
    function : callable, optional
        The function, or the dispatcher that ``numba.njit`` made of it.
    options : dict
        Options for ``numba.njit``.
    pickled : bytes, optional
        Function and options as pickled by another process, if `function` is not given.
    """

    def __init__(
        self,
        name: str,
        function: Function | None,
        options: dict[str, Any],
        pickled: bytes | None = None,
    ) -> None:
        self._name = name
        self._function = function
        self._options = options
        self._pickled = pickled
        self.has_arrived = function is None  # from another process, by value
        self._may_split: bool | None = None
        self._is_checked = False

    def renewed(self) -> Source:
        """Return a new source of the same function, without cached results."""
        renewed = Source(self._name, self.function, self.options)
        renewed.has_arrived = self.has_arrived
        return renewed

    @property
    def function(self) -> Function:
        """Return the function, or the dispatcher that ``numba.njit`` made of it.

        Raises
        ------
        KernelError
            The sender could not pickle it.
        """
        if self._function is None:
            if self._pickled is None:
                raise KernelError(
                    f"kernel {self._name!r} arrived without its source, which the "
                    "sender could not pickle; call its compile() there with arguments "
                    "of these types before sending it"
                )
            self._function, self._options = pickle.loads(self._pickled)
        return self._function

    @property
    def options(self) -> dict[str, Any]:
        """Return the options for ``numba.njit``, after the pickle was opened."""
        return self._options

    @property
    def py_func(self) -> Function:
        """Return the Python function."""
        return getattr(self.function, "py_func", self.function)

    @property
    def is_open(self) -> bool:
        """Return whether the function itself is present, not only its pickle."""
        return self._function is not None

    def may_split(self) -> bool:
        """Return whether the function may have a loop over `sharray.prange`."""
        if self._may_split is None:
            self._may_split = may_use_prange(self.py_func)
        return self._may_split

    def add_pickle(self, pickled: bytes | None) -> None:
        """Add a pickle that arrived later than the kernel."""
        self._pickled = self._pickled or pickled

    def check_for_run(self) -> None:
        """Refuse a function whose result depends on the process.

        Raises
        ------
        KernelError
            The function uses numba's threads, and each process has its own.
        """
        if self._is_checked or (self._function is None and self._pickled is None):
            return
        name = thread_function(self.py_func)
        if name:
            raise KernelError(
                f"kernel {self._name!r} uses numba.{name}, which describes numba's "
                "threads in one process and is the same in all members of a team; use "
                "sharray.Counter() to number the parts, or pass an array of part "
                "numbers"
            )
        self._is_checked = True

    def pickled(self, pickle_function: Callable[..., bytes]) -> bytes | None:
        """Return the function pickled by value, or None if that is impossible.

        Parameters
        ----------
        pickle_function : callable
            A function that pickles the kernel's function and its options.
        """
        if self._pickled is None and self._function is not None:
            try:
                self._pickled = pickle_function(self._function, self._options)
            except Exception:
                # Any object that the function refers to may raise any exception. The
                # machine code for the types compiled so far works without the source.
                return None
        return self._pickled

    def why_not_sent(self) -> str:
        """Return why the source cannot be pickled, and the remedy."""
        name = foreign_function(self.py_func)
        if name:
            return (
                f"it calls {name!r}, a callback of ctypes or a function of cffi, whose "
                "address is valid in this process only; declare a function of the C "
                "library with numba.types.ExternalFunction, or write it in Python"
            )
        return (
            "it refers to objects that cannot be pickled; pass their values as "
            "arguments"
        )
