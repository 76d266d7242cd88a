"""Machine code without numba: made by llvmlite, or received as an object file.

Both kernels and teams use it. A process that receives kernels needs nothing else.

===================  ======================================================
module               contents
===================  ======================================================
`object_file`        the symbols that an object file needs
`machine_code`       object files of kernels, and their loading
`words`              a compiler for protocols on words in shared memory
`words_calls`        the functions that such code can call
`calling`            call machine code from Python
`atomic`             `sharray.atomic`: operations on elements of arrays
`atomic_operations`  the table of operations and their elements
`atomic_elements`    calls from Python: checks, and the element's address
`atomic_builtin`     built-in functions of Python, for fast calls
`atomic_builtin_ir`  their instructions
`object_ir`          instructions that read Python's objects
`array_layout`       where machine code finds the parts of an array
`atomic_native`      each operation as a function of machine code
`atomic_ir`          their instructions
`waiting`            futexes, clocks and pauses
`waiting_ir`         their instructions
`parts`              the part of a run that a thread works on
`locks`              locks held while code is compiled or loaded
===================  ======================================================
"""
