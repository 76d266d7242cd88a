"""Kernels: functions that numba compiles once and that run in any process.

Only what begins with ``prange_`` or ends in ``typing``, `compiling` and `entry` imports
numba; a process that gets a kernel's machine code needs none of it.

==========================  ====================================================
module                      what it is for
==========================  ====================================================
`sharray.kernels.decorator`   `sharray.kernel`
`sharray.kernels.kernel`      `Kernel`: called, compiled, pickled
`sharray.kernels.jit`         whether numba is switched off
`sharray.kernels.arguments`   types of arguments, and arguments as words
`sharray.kernels.locks`       held while compiling and loading
`sharray.kernels.tuples`      named tuples
`sharray.kernels.references`  what a kernel refers to
`sharray.kernels.watching`    whether that was replaced since
`sharray.kernels.outcome`     what a kernel returned, as bytes
`sharray.kernels.failures`    what it raised
`sharray.kernels.reducing`    how values are combined
`sharray.kernels.prange`      the loop that a team splits
`sharray.kernels.prange_pass` numba's code of a kernel, made into that of a part:
                              which loop (`prange_loop`), how long (`prange_bounds`),
                              what parts would repeat (`prange_effects`), whose memory
                              it is (`prange_memory`), what iterations hand on
                              (`prange_values`) and return (`prange_returns`)
`sharray.kernels.prange_typing` `prange` for numba, and what takes its place
`sharray.kernels.compiling`   from a function to machine code, by numba
`sharray.kernels.entry`       the function around it that any process can call,
                              with `entry_arguments` and `entry_values`
`sharray.kernels.compiled`    both functions, ready to be called
`sharray.kernels.machine_code` the object file, and loading it elsewhere
`sharray.kernels.object_file` which symbols it needs
`sharray.kernels.atomic`      atomic operations: from Python by `atomic_native`,
                              in kernels by `atomic_typing`, on `atomic_elements`,
                              with the instructions of `atomic_ir`
`sharray.kernels.waiting`     futexes, clocks and pauses, likewise
`sharray.kernels.counter`     a number that all processes count with
`sharray.kernels.barrier`     where they wait for each other; `barrier_protocol`
                              says how; both are `cells`
`sharray.kernels.words`       a compiler for what must not wait for numba, with
                              `words_calls`; `calling` is for it
`sharray.kernels.extension`   what numba loads to know all this
==========================  ====================================================
"""
