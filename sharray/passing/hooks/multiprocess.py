"""multiprocess: a copy of multiprocessing that pickles with dill."""

from __future__ import annotations

import functools

from .declaration import Hooks
from .multiprocessing import replacements_in

HOOKS = Hooks(
    package="multiprocess",
    used_if="multiprocess.reduction",
    replacements=functools.partial(replacements_in, "multiprocess"),
    processes="multiprocess.process",
)
