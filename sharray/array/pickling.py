"""Why an array is being pickled: to send it, or to keep it.

A handle that is kept is worth nothing once the array is gone, so that who writes
pickles into files gets the values, as of a `numpy.memmap`. Picklers do not tell
`__reduce_ex__` what they are for, but the function that runs the pickler is on the
stack: those written in C have no frame of their own, and those in Python are passed
over.
"""

from __future__ import annotations

import sys
from types import FrameType

# Modules that pickle into files.
_KEEPERS = {
    "joblib.numpy_pickle",  # dump, Memory
    "numpy._core._methods",  # ndarray.dump, dumps
    "numpy.lib._format_impl",  # save and savez, of arrays of objects
    "numpy.lib.format",  # the same up to NumPy 2.2
    "pandas.io.pickle",  # to_pickle
    "shelve",
    "torch.serialization",  # save
}
# Packages that pickle to send, or to compute a name.
_CARRIERS = {
    "dask",
    "distributed",
    "joblib",
    "loky",
    "multiprocess",
    "multiprocessing",
    "sharray",
}
_PICKLERS = {
    "cloudpickle.cloudpickle",
    "dill._dill",
    "joblib.externals.cloudpickle.cloudpickle",
    "pickle",
    "sharray.array.core",
}


def find_caller() -> str:
    """Name of the module whose function runs the pickler that calls the caller.

    Examples
    --------
    >>> find_caller() == __name__
    True
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if name not in _PICKLERS:
            return name if isinstance(name, str) else ""
        frame = frame.f_back
    return ""


def is_kept_by(caller: str) -> bool:
    """Whether this module pickles into files.

    Examples
    --------
    >>> is_kept_by("shelve"), is_kept_by("multiprocessing.reduction")
    (True, False)
    """
    return caller in _KEEPERS


def is_sent_by(caller: str) -> bool:
    """Whether this module is known to pickle what others unpickle, or nobody needs.

    Examples
    --------
    >>> is_sent_by("multiprocessing.reduction"), is_sent_by("__main__")
    (True, False)
    """
    return caller.partition(".")[0] in _CARRIERS
