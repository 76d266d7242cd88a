"""The tests of multiprocess, which are CPython's with its pickler, dill."""
