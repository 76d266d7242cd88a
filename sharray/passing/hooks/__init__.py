"""Replacements of functions of multiprocessing and other executors.

=================  ====================================================
module             contents
=================  ====================================================
`registry`         the executors, and those that have hooks now
`declaration`      the declaration of an executor for the registry
`multiprocessing`  one executor each; `registry` says how to add another
`multiprocess`
`loky`
`joblib`
`loky_collecting`  the pickler of loky's messages
`users`            prepare messages before a process changes its user
`patches`          replace functions, and restore them
=================  ====================================================
"""
