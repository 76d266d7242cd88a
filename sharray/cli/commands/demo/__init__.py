"""The command ``sharray demo``: the main job of this library on real data.

===========  ================================================================
module       what it is for
===========  ================================================================
`command`    the command and its options
`elevation`  where the elevations come from
`terrain`    hillshade, as plain NumPy and as a kernel
`pickled`    the kernel in a pool of workers, arrays pickled
`measure`    times three ways to run it, and checks the results
`report`     the table that is printed
`picture`    the picture that is saved
`steps`      progress bars
===========  ================================================================
"""
