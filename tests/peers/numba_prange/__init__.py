"""numba's own tests of prange, each kernel run by a team.

==========================  ===================================================
module                      what it is for
==========================  ===================================================
`peers.numba_prange.run`      the command
`peers.numba_prange.kernels`  what numba's tests would run, taken out of them
`peers.numba_prange.judging`  whether a run gives what plain Python gives
==========================  ===================================================
"""
