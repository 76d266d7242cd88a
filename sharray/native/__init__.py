"""Machine code without numba: made by llvmlite, or received as an object file.

Kernels and teams use it alike; a process that receives kernels needs nothing else.

===================  ====================================================
module               contents
===================  ====================================================
`object_file`        which symbols an object file needs
`machine_code`       object files of kernels, and loading them elsewhere
`words`              a compiler for protocols on words in shared memory
`words_calls`        what such code can call
`calling`            calling it from Python
`atomic`             `sharray.atomic`: operations on elements of arrays
`atomic_operations`  the table of them: what they take, on which elements
`atomic_elements`    calls from Python: checks, and the element's address
`atomic_native`      each as a function of machine code
`atomic_ir`          their instructions
`waiting`            futexes, clocks and pauses
`waiting_ir`         their instructions
`locks`              held while code is compiled or loaded
===================  ====================================================
"""
