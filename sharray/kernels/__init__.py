"""Kernels: functions that numba compiles once and that run in any process.

Only `sharray.kernels.numba` imports numba, when a kernel is compiled. A process that
gets a kernel's machine code needs none of it.

===============  =============================================
module           what it is for
===============  =============================================
`decorator`      `sharray.kernel`
`kernel`         `Kernel`: called, compiled, pickled
`source`         the function, here or pickled by its sender
`jit`            whether numba is switched off
`argument_keys`  types of arguments, and arguments as words
`tuples`         named tuples
`references`     what a kernel refers to
`watching`       whether that was replaced since
`outcome`        what a kernel returned, as bytes
`failures`       what it raised
`reductions`     how values are combined
`prange`         `sharray.prange`: the loop that a team splits
`compiled`       a kernel's functions, ready to be called
`numba`          from a function to machine code
===============  =============================================
"""
