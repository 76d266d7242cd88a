"""Runs of Python functions and ufuncs: what `sharray.run` and `map` need for them.

===========  ==================================================
module       contents
===========  ==================================================
`arguments`  arguments: split, whole or refused
`generators` the refusal of random generators, whose copies draw alike
`ufuncs`     the same for ufuncs, by NumPy's rules
`values`     what becomes of the values that calls return
`call`       a function with its arguments, called for a chunk
`modules`    the check that workers have the same code
`contents`   what a module has, as text
`sending`    calls as messages for workers
`pickling`   the picklers of calls
`prepared`   a function with checked arguments
`plan`       a call and its chunks
`map`        a new array of what calls return
`threads`    limits for the threads of BLAS and OpenMP
===========  ==================================================
"""
