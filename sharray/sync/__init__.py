"""Counters and barriers that processes, threads and kernels share.

==================  =======================================================
module              contents
==================  =======================================================
`cells`             the base class: a few integers in shared memory
`counter`           `Counter`: an atomic counter
`barrier`           `Barrier`: the class
`barrier_protocol`  the functions behind it, which kernels compile as well
==================  =======================================================
"""
