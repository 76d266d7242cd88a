"""The function that a kernel was made of: present here, or pickled by its sender."""

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
        The function, or what ``numba.njit`` made of it.
    options : dict
        Options for ``numba.njit``.
    pickled : bytes, optional
        Both as another process has pickled them, if `function` is not given.
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
        self._may_split: bool | None = None
        self._is_checked = False

    def renewed(self) -> Source:
        """The same function, about which everything has to be found out again."""
        return Source(self._name, self.function, self.options)

    @property
    def function(self) -> Function:
        """The function, or what ``numba.njit`` made of it.

        Raises
        ------
        KernelError
            The sender could not pickle it.
        """
        if self._function is None:
            if self._pickled is None:
                raise KernelError(
                    f"kernel {self._name!r} came without its source, which could "
                    "not be pickled; compile it for these types before it is sent"
                )
            self._function, self._options = pickle.loads(self._pickled)
        return self._function

    @property
    def options(self) -> dict[str, Any]:
        """Options for ``numba.njit``; those of a pickle once that was opened."""
        return self._options

    @property
    def py_func(self) -> Function:
        """The function as it was written."""
        return getattr(self.function, "py_func", self.function)

    @property
    def is_open(self) -> bool:
        """Whether the function is present, and not only a pickle of it."""
        return self._function is not None

    def may_split(self) -> bool:
        """Tell whether it may have a loop over `sharray.prange`."""
        if self._may_split is None:
            self._may_split = may_use_prange(self.py_func)
        return self._may_split

    def add_pickle(self, pickled: bytes | None) -> None:
        """Take a pickle that arrived later than the kernel."""
        self._pickled = self._pickled or pickled

    def check_for_run(self) -> None:
        """Refuse a function whose result depends on the process.

        Raises
        ------
        KernelError
            It uses the threads of numba, of which each process has its own.
        """
        if self._is_checked or (self._function is None and self._pickled is None):
            return
        name = thread_function(self.py_func)
        if name:
            raise KernelError(
                f"kernel {self._name!r} uses numba.{name}, which is about numba's "
                "threads in one process, and the same in all members of a team; use "
                "sharray.Counter to number the parts, or pass what tells them apart"
            )
        self._is_checked = True

    def pickled(self, pickle_function: Callable[..., bytes]) -> bytes | None:
        """Return the function by value, None if it cannot be pickled.

        Parameters
        ----------
        pickle_function : callable
            Pickles the function and its options.
        """
        if self._pickled is None and self._function is not None:
            try:
                self._pickled = pickle_function(self._function, self._options)
            except Exception:
                # An object that it refers to may raise anything. The machine code
                # works without the source, for the types compiled so far.
                return None
        return self._pickled

    def why_not_sent(self) -> str:
        """What keeps the source from being pickled, and the remedy."""
        name = foreign_function(self.py_func)
        if name:
            return (
                f"it calls {name!r}, a callback of ctypes or a function of cffi, with "
                "an address of this process; declare a function of the C library by "
                "numba.types.ExternalFunction, or write it in Python"
            )
        return "what it refers to cannot be pickled; pass that as arguments"
