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

# What a pickle is for.
KEPT = 1
SENT = 2
UNKNOWN = 3
_PASSED_OVER = 0

_MODULES = {
    "cloudpickle.cloudpickle": _PASSED_OVER,
    "dill._dill": _PASSED_OVER,
    "joblib.externals.cloudpickle.cloudpickle": _PASSED_OVER,
    "pickle": _PASSED_OVER,
    "sharray.array.core": _PASSED_OVER,
    "joblib.numpy_pickle": KEPT,  # dump, Memory
    "numpy._core._methods": KEPT,  # ndarray.dump, dumps
    "numpy.lib._format_impl": KEPT,  # save and savez, of arrays of objects
    "numpy.lib.format": KEPT,  # the same up to NumPy 2.2
    "pandas.io.pickle": KEPT,  # to_pickle
    "shelve": KEPT,
    "torch.serialization": KEPT,  # save
}
# Packages that deliver their pickles, or only compute names from them.
_SENDERS = {
    "dask",
    "distributed",
    "joblib",
    "loky",
    "multiprocess",
    "multiprocessing",
    "sharray",
}


def purpose() -> int:
    """What a pickle is for; to be called by a method that pickling has called.

    Returns
    -------
    int
        `KEPT` in a file, `SENT` by a package that delivers it, or `UNKNOWN`.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        found = _MODULES.get(module)
        if found is None:
            return SENT if module.partition(".")[0] in _SENDERS else UNKNOWN
        if found != _PASSED_OVER:
            return found
        frame = frame.f_back
    return UNKNOWN
