"""The operating system: one plain function for each call that is needed.

This is the only package that asks which platform it runs on. Linux is the one
that is tested; where a capability is missing, its function says so or raises
`NotImplementedError`. Nothing here knows about arrays or formats.

=============================  ==================================================
module                         what it wraps
=============================  ==================================================
`sharray.system.files`         open, fallocate, linkat, fsync
`sharray.system.file_systems`  statfs, statvfs: room, and whether it is a disk
`sharray.system.directories`   directories of one user
`sharray.system.optional`      which errors mean that a call is missing here
`sharray.system.c_library`     functions of the C library
`sharray.system.libraries`     where functions are in shared libraries
`sharray.system.memory`        mmap, msync, madvise, sync_file_range
`sharray.system.locks`         flock, open file description locks
`sharray.system.mappings`      which processes have a file mapped, and where
`sharray.system.pages`         mincore: what of it is in memory, dirty, and where
`sharray.system.limits`        memory, control groups, limits of processes
`sharray.system.mounts`        file systems: their type, options and room
`sharray.system.processes`     who runs, and who is gone
`sharray.system.channels`      pipes and sockets: who has them open
`sharray.system.clock`         clocks that a program cannot stop
`sharray.system.marks`         a mark that other processes can see
`sharray.system.futex`         futex
`sharray.system.forks`         what runs at each fork
`sharray.system.finalizing`    what runs when an object is gone
`sharray.system.interrupts`    keep Ctrl-C out of steps that belong together
=============================  ==================================================
"""
