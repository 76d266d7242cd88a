"""Teams: worker processes that run kernels and functions on shared arrays.

===========  ==================================================
module       contents
===========  ==================================================
`team`       `Team`: what users call
`default`    the team behind `sharray.run`
`members`    its workers and the caller: one run at a time
`options`    options of teams and of runs
`arguments`  arguments: split, whole or refused
`copying`    shared copies of ordinary arrays
`schedule`   chunks, and the members that take them
`plan`       the parts of a run that later runs can reuse
`run`        one run, from its beginning to its end
`functions`  runs of Python functions and ufuncs
`results`    its value, or the error to raise
`futures`    runs in the background
`serial`     a run while numba is switched off
`forgotten`  the end of teams that only a notebook's history holds
`progress`   the progress bar
`units`      rows, elements or iterations: how people count
`survey`     the state of all teams of this user
`workers`    worker processes
`control`    the shared memory that coordinates them
===========  ==================================================
"""
