"""numba: all that imports it.

=================  ================================================================
module             contents
=================  ================================================================
`compiling`        from a function to machine code
`extension`        what numba loads to know the types and functions of this package
`entry`            the function around a kernel that any process can call
`entry_arguments`  how it reads arguments from words
`entry_values`     how it stores and combines values
`cells_typing`     counters and barriers in kernels
`atomic_typing`    `sharray.atomic` in kernels
`waiting_typing`   futexes, clocks and pauses in kernels
`prange_typing`    `sharray.prange` for numba, and what takes its place
`prange_pass`      numba's code of a kernel, made into that of a part
`prange_loop`      which loop is split
`prange_bounds`    how many iterations it has
`prange_effects`   what parts would repeat
`prange_memory`    whose memory a name refers to
`prange_values`    what iterations hand on
`prange_returns`   what parts return
=================  ================================================================
"""
