"""CPython's own tests of multiprocessing, with sharray installed.

===================  ===================================================
module               what it is for
===================  ===================================================
`cpython.run`        the command: plain against installed
`cpython.suites`     which test modules an interpreter ships, or lacks
`cpython.running`    one test module in a process of its own, watched
`cpython.program`    what that process runs
`cpython.probe`      whether the processes have sharray installed
`cpython.leftovers`  what they leave in RAM, and what they may
`cpython.comparing`  what fails only installed, and whether always
===================  ===================================================
"""
