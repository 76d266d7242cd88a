"""CPython's tests of multiprocessing and concurrent.futures.

======================  =======================================================
module                  purpose
======================  =======================================================
`peers.cpython.run`     the command
`peers.cpython.suites`  the test modules that an interpreter ships, or lacks
`peers.cpython.probe`   checks that the processes have sharray installed
======================  =======================================================
"""
