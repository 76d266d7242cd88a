"""The command ``sharray demo``: the main job of this library on real data.

============================  ================================================
module                        what it is for
============================  ================================================
`sharray.cli.demo.command`      the command and its options
`sharray.cli.demo.elevation`    where the elevations come from
`sharray.cli.demo.terrain`      hillshade, as plain NumPy and as a kernel
`sharray.cli.demo.pickled`      the kernel in a pool of workers, arrays pickled
`sharray.cli.demo.measure`      times three ways to run it, and checks the results
`sharray.cli.demo.report`       the table that is printed
`sharray.cli.demo.picture`      the picture that is saved
============================  ================================================
"""
