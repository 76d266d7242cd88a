"""joblib, which has its own copy of loky.

joblib still writes large arguments to files that all tasks map; see `loky`.
"""

from __future__ import annotations

import functools

from .declaration import Hooks
from .loky import replacements_in

HOOKS = Hooks(
    package="joblib.externals.loky",
    used_if="joblib.externals.loky.backend.queues",
    replacements=functools.partial(replacements_in, "joblib.externals.loky"),
    processes="multiprocessing.process",
)
