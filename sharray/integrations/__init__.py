"""Adapters that let other libraries carry shared arrays.

==================================  ============================================
module                              contents
==================================  ============================================
`sharray.integrations.importing`    adapting a library when it is imported
`sharray.integrations.joblib`       handles for plain views in joblib's tasks
`sharray.integrations.dask`         sizes and names of arrays in dask; `to_dask`
`sharray.integrations.distributed`  handles between the processes of a cluster
==================================  ============================================

`importing` is always imported. The other modules are imported when the other library
is imported, when it loads our entry point, or when a function needs them.
"""

from .importing import when_imported


def await_libraries() -> None:
    """Adapt libraries without entry points as soon as they are imported."""
    when_imported("joblib", f"{__name__}.joblib")
