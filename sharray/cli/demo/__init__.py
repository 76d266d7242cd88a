"""The command ``sharray demo``: the main job of this library on real data.

============================  ================================================
module                        what it is for
============================  ================================================
`sharray.cli.demo.command`      the command and its options
`sharray.cli.demo.elevation`    where the elevations come from
`sharray.cli.demo.terrain`      hillshade, as plain NumPy and as a numba kernel
`sharray.cli.demo.ways`         the three ways in which the kernel is run
`sharray.cli.demo.measure`      times these ways and checks what they produced
`sharray.cli.demo.report`       the table that is printed
`sharray.cli.demo.picture`      the picture that is saved
============================  ================================================
"""
