"""The purpose of a pickle: to send an array to another process, or to keep it.

A kept handle is worthless once the array is gone. So pickles in files contain the
values, as those of a `numpy.memmap` do. A pickler does not tell `__reduce_ex__` its
purpose, but the function that runs the pickler is on the stack. Picklers written in C
have no frame of their own; frames of picklers written in Python are skipped.
"""

from __future__ import annotations

import sys
from types import FrameType

# Purposes of a pickle.
KEPT = 1
SENT = 2
UNKNOWN = 3
_PASSED_OVER = 0

_MODULES = {
    "IPython.external.pickleshare": KEPT,  # %store
    "cloudpickle.cloudpickle": _PASSED_OVER,
    "dill._dill": _PASSED_OVER,
    "dill.session": KEPT,  # dump_module, dump_session
    "joblib.externals.cloudpickle.cloudpickle": _PASSED_OVER,
    "pickle": _PASSED_OVER,
    "sharray.arrays.core": _PASSED_OVER,
    "joblib.numpy_pickle": KEPT,  # dump, Memory
    "numpy._core._methods": KEPT,  # ndarray.dump, dumps
    "numpy.lib._format_impl": KEPT,  # save and savez of object arrays
    "numpy.lib.format": KEPT,  # the same, up to NumPy 2.2
    "pandas.io.pickle": KEPT,  # to_pickle
    "pickleshare": KEPT,  # %store up to IPython 8
    "shelve": KEPT,
    "torch.serialization": KEPT,  # save
}
# Packages that send their pickles, or only hash them to make names.
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
    """Return the purpose of a pickle; call this in a method that pickling calls.

    Returns
    -------
    int
        `KEPT` for a pickle in a file, `SENT` for one that a package sends to another
        process, or `UNKNOWN`.
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
