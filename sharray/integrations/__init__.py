"""What other libraries need to carry shared arrays.

===========================  =================================================
module                       what it is for
===========================  =================================================
`sharray.integrations.dask`  handles between dask's workers, blocks of an array
===========================  =================================================

Nothing here is imported unless the other library asks for it by an entry point, or
the user calls a function that needs the library.
"""
