"""Cells in shared memory by which processes, threads and kernels work together.

==================  =============================================
module              contents
==================  =============================================
`cells`             the base: some integers in shared memory
`counter`           `Counter`: a number that all count with
`barrier`           `Barrier`: where all wait for each other
`barrier_protocol`  how they do: Python that kernels compile, too
==================  =============================================
"""
