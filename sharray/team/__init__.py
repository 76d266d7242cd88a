"""Teams: worker processes that run kernels together on shared arrays.

===========  ==================================================
module       contents
===========  ==================================================
`team`       `Team`: what users call
`default`    the team behind `sharray.run`
`options`    what the options of a run can be
`arguments`  which arguments are split, passed whole or refused
`copying`    shared copies of ordinary arrays
`schedule`   how work is cut into chunks, and who takes which
`plan`       what stays the same from run to run
`run`        one run, from its beginning to its end
`results`    its value, or the error to raise
`futures`    runs in the background
`serial`     a run while numba is switched off
`progress`   the bar
`survey`     what all teams of this user do, from outside
`workers`    worker processes
`control`    the memory through which all work together
===========  ==================================================
"""
