"""The only package that imports numba.

=================  ============================================================
module             contents
=================  ============================================================
`by_value`         numba's copy of cloudpickle
`compiling`        compile a function to machine code
`locating`         code that tells the line that raised
`argument_types`   numba's types of arguments and values
`extension`        register the types and functions of this package with numba
`entry`            the function around a kernel that any process can call
`entry_arguments`  its code that reads arguments from words
`entry_values`     its code that stores and combines values
`array_values`     its code that keeps and combines arrays
`here_typing`      `sharray.member` in kernels, and the code that sets the part
`seeding_code`     its code that seeds the random numbers of a part
`cells_typing`     counters and barriers in kernels
`atomic_typing`    `sharray.atomic` in kernels
`waiting_typing`   futexes, clocks and pauses in kernels
`prange_typing`    `sharray.prange` for numba, and the functions that replace it
`prange_pass`      turn numba's code of a kernel into that of a part
`prange_loop`      find the loop to split
`prange_bounds`    count its iterations
`prange_effects`   find effects that parts would repeat
`prange_memory`    find the arguments whose memory a name refers to
`prange_values`    find values that iterations carry to the next
`prange_arrays`    check the arrays that parts return
`prange_returns`   check the values that parts return
=================  ============================================================
"""
