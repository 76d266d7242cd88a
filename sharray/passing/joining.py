"""How a process comes to install sharray: another one tells it, and it joins.

::

    sender                                   worker
    starts a process: `Starting`  -------->  `Joining.join`, then its own arguments are
                                             unpickled, then `Joining.begin`
    sends a message               -------->  `Joining.join`

The wire and the hooks of the executors call `Joining`, whose calls are those of
`installing`, which imports the wire and the hooks. Importing any part of this package
imports `installing`, so that the calls are there before the first message is: a
process that has changed its user, or has no descriptor left, could not import then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..system import processes
from .options import Options


class Joining:
    """What a worker does when it is told of sharray.

    Attributes
    ----------
    join : callable
        Installs with these options, for this family, unless told otherwise before.
    begin : callable
        Returns its second argument, the process that begins; sets the hooks of the
        packages that were imported when it was unpickled.
    """

    join: ClassVar[Callable[[Options, int], None]]
    begin: ClassVar[Callable[[None, Any], Any]]


class Starting:
    """A process object, for a process that installs sharray before it unpickles it.

    Before: what is in its arguments, as a bound `Connection.send`, is looked up then.
    """

    def __init__(self, process: Any, options: Options) -> None:
        self._process = process
        self._options = options

    def __reduce__(self) -> Any:
        # Unpickling goes from left to right: the worker joins, then comes the process.
        return Joining.begin, (_Join(self._options), self._process)


class _Join:
    """Pickles as the call of `Joining.join`."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def __reduce__(self) -> Any:
        return Joining.join, (self._options, processes.family_stamp())
