"""The messages by which a worker installs sharray with the options of its parent.

::

    sender                                   worker
    starts a process: `Starting`  -------->  `Joining.join`, then its own arguments are
                                             unpickled, then `Joining.begin`
    sends a message               -------->  `Joining.join`

The wire and the hooks call `Joining`. `installing`, which imports them, sets its
functions. Importing any part of this package imports `installing`, so the functions are
set before the first message. A process that has changed its user, or has no descriptor
left, could not import then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..system import processes
from .options import Options


class Joining:
    """The functions that install sharray in a worker.

    Attributes
    ----------
    join : callable
        Install with these options, for this family, unless the worker has called
        `install` or `uninstall` itself.
    begin : callable
        Set the hooks of packages that unpickling has imported; return the second
        argument, the process that begins.
    """

    join: ClassVar[Callable[[Options, int], None]]
    begin: ClassVar[Callable[[None, Any], Any]]


class Starting:
    """A process object that pickles so that its process installs sharray first.

    Unpickling its arguments looks functions up, such as a bound `Connection.send`. The
    hooks must be set before.
    """

    def __init__(self, process: Any, options: Options) -> None:
        self._process = process
        self._options = options

    def __reduce__(self) -> Any:
        # Unpickling goes from left to right: the worker joins before it unpickles the
        # process.
        return Joining.begin, (_Join(self._options), self._process)


class _Join:
    """An object that pickles as a call of `Joining.join`."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def __reduce__(self) -> Any:
        return Joining.join, (self._options, processes.family_stamp())
