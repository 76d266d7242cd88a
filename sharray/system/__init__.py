"""The operating system: one plain function for each call that the library needs.

Only this package asks which platform it runs on. It is tested on Linux. Elsewhere, a
function whose system call is missing returns that fact or raises
`NotImplementedError`. Nothing here knows about arrays or formats.

==============================  ==================================================
module                          contents
==============================  ==================================================
`sharray.system.files`          open, fallocate, linkat, fsync
`sharray.system.standard_io`    standard input, output and error, if closed
`sharray.system.file_identity`  inode, birth time and generation of a file
`sharray.system.file_systems`   statfs, statvfs: free space, disk or memory
`sharray.system.directories`    directories of one user
`sharray.system.optional`       errors that mean that a call is missing here
`sharray.system.c_library`      functions of the C library
`sharray.system.libraries`      places of functions in shared libraries
`sharray.system.buffers`        addresses of buffers
`sharray.system.memory`         mmap, msync, madvise, sync_file_range
`sharray.system.advising`       madvise by the names of its manual page
`sharray.system.huge_pages`     huge pages for files in memory
`sharray.system.remapping`      another mapping at the same addresses
`sharray.system.freezing`       memory of a file that keeps its values
`sharray.system.locks`          flock, open file description locks
`sharray.system.mappings`       mappings of files in all processes
`sharray.system.pages`          mincore: pages in memory, dirty pages, page frames
`sharray.system.limits`         memory, control groups, limits of processes
`sharray.system.mounts`         file systems: type, options and free space
`sharray.system.processes`      running and ended processes
`sharray.system.children`       children that were not started here
`sharray.system.siblings`       fork a child of the parent: CLONE_PARENT
`sharray.system.inheritance`    what children inherit, to compare
`sharray.system.command_lines`  what processes were started with
`sharray.system.process_names`  what people call processes
`sharray.system.channels`       numbers of pipes and sockets, and waiting for them
`sharray.system.open_channels`  pipes and sockets that processes have open
`sharray.system.clock`          clocks that a program cannot mock
`sharray.system.marks`          a mark that other processes can see
`sharray.system.futex`          futex
`sharray.system.fences`         membarrier
`sharray.system.forks`          functions to run at each fork
`sharray.system.finalizing`     functions to run when an object is freed
`sharray.system.thread_locks`   locks that Ctrl-C cannot leave locked, and events
`sharray.system.interrupts`     blocks that Ctrl-C does not interrupt
==============================  ==================================================
"""
