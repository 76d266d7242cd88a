"""Replacements of functions of multiprocessing and other executors.

=================  ====================================================
module             contents
=================  ====================================================
`registry`         which executors there are, and which are hooked now
`declaration`      what the registry must know of an executor
`multiprocessing`  one executor each; `registry` says how to add another
`multiprocess`
`loky`
`joblib`
`users`            what a process does before it changes its user
`patches`          replacing functions, and restoring them
=================  ====================================================
"""
