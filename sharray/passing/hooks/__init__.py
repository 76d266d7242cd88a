"""What stands in the place of functions of multiprocessing and other executors.

==========  =================================================
module      what it is for
==========  =================================================
`standard`  multiprocessing, concurrent.futures, multiprocess
`loky`      loky and joblib
`users`     what a process does before it changes its user
`patches`   replacing functions, and restoring them
==========  =================================================
"""
