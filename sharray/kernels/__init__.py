"""Kernels: functions that numba compiles once and that run in any process.

Only `sharray.kernels.numba` imports numba, to compile a kernel. A process that
receives a kernel's machine code does not need numba.

===============  ===================================================
module           contents
===============  ===================================================
`decorator`      `sharray.kernel`
`kernel`         `Kernel`: calls, compiles and pickles a function
`source`         the Python function, present or pickled
`background`     compilations that Ctrl-C does not wait for
`jit`            the check for ``NUMBA_DISABLE_JIT``
`argument_keys`  types of arguments, and arguments as 64-bit words
`tuples`         named tuples
`references`     the objects that a kernel refers to
`watching`       the check for referenced objects that were replaced
`outcome`        the value that a kernel returned, as bytes
`failures`       the exception that a kernel raised
`places`         the line that raised, in the status of machine code
`tracebacks`     tracebacks that end in the kernel's line
`reductions`     the named reductions ``sum``, ``min`` and ``max``
`prange`         `sharray.prange`: the loop that a team splits
`here`           `member`, `members` and `offset`: the part of a run
`seeding`        the random numbers of a run with a seed
`numba_random`   the random states of compiled code
`blocks`         the memory of arrays that kernels return
`compiled`       machine code of a kernel, ready to be called
`numba`          compilation of a function to machine code
===============  ===================================================
"""
