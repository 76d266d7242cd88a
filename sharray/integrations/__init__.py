"""What other libraries need to carry shared arrays.

===============================  =============================================
module                           what it is for
===============================  =============================================
`sharray.integrations.importing`   adapting a library when it is imported
`sharray.integrations.joblib`      handles for plain views in joblib's tasks
`sharray.integrations.dask`        handles between dask's workers, blocks of an
                                 array; `distributed` is for it
===============================  =============================================

Nothing but `importing` is imported unless the other library is there, asks for it by
an entry point, or the user calls a function that needs the library.
"""

from .importing import when_imported


def await_libraries() -> None:
    """Adapt the libraries that have no entry points, as soon as they are imported."""
    when_imported("joblib", f"{__name__}.joblib")
