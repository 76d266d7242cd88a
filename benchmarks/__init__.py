"""How fast sharray is, beside its peers and the bare system calls.

Run ``python -m benchmarks``; it takes some minutes. All
contenders take turns in one run, so that what disturbs the machine disturbs all of
them, and what is compared are ratios.

============================  ==================================================
module                        what it is for
============================  ==================================================
`benchmarks.opening`          opening an existing array
`benchmarks.handles`          pickling views
`benchmarks.elements`         indexing and computing with small arrays
`benchmarks.flushing`         bringing data to the disk, beside other threads
`benchmarks.creating`         making and filling large arrays in RAM
`benchmarks.importing`        what importing adds
`benchmarks.dispatch`         having a worker run nothing
`benchmarks.loops`            numba kernels on large arrays
`benchmarks.reductions`       sums, histograms, and adding at random places
`benchmarks.starting`         starting workers, and compiling for them
`benchmarks.fresh`            the new processes in which that is measured
`benchmarks.fifty_lines`      the kernel for it
`benchmarks.atomics`          counting together
`benchmarks.scaling`          many arrays
`benchmarks.scaling_process`  the processes in which that is measured
`benchmarks.passing`          sending arrays to workers, and getting them back
`benchmarks.passing_ways`     how to: plainly, with sharray, by hand
`benchmarks.passing_peers`    how to: with other libraries
`benchmarks.passing_driver`   the processes in which that is measured
`benchmarks.passing_memory`   what memory it takes
`benchmarks.passing_process`  the processes in which that is measured
`benchmarks.topics`           those of the above that have tables, by name
`benchmarks.harness`          rounds, samples, medians
`benchmarks.tables`           what was measured together, and goals
`benchmarks.scratch`          files that are gone afterwards
`benchmarks.peers`            libraries that may not be installed
`benchmarks.children`         processes that end in order, also when interrupted
`benchmarks.machine`          what it was measured on
`benchmarks.results`          tables as JSON, and back
`benchmarks.summary`          which of all tables, and who of their contenders
`benchmarks.formats`          numbers with units
`benchmarks.report`           tables on the terminal
`benchmarks.markdown`         tables in Markdown
`benchmarks.plots`            plots
`benchmarks.publish`          both, in the README and in docs/
`benchmarks.errors`           what ends it all
============================  ==================================================
"""
