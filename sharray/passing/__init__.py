"""Ordinary arrays between processes: messages through shared memory.

========================  ====================================================
module                    what it is for
========================  ====================================================
`sharray.passing.installing` `install`, `uninstall`, `installed`
`sharray.passing.sharing`    `share`, and its reverse `unshare`
`sharray.passing.options`    what `install` was told
`sharray.passing.hooks`      what stands in the place of multiprocessing's own
`sharray.passing.hooks_loky` the same for loky and joblib
`sharray.passing.hooks_users` what a process does before it changes its user
`sharray.passing.starting`   new processes, which install it, too
`sharray.passing.reach`      who may be at the other end of a connection
`sharray.passing.collecting` pickling, with the memory of arrays set aside
`sharray.passing.packing`    the parts of a message in memory
`sharray.passing.sending`    from an object to the bytes in the pipe
`sharray.passing.receiving`  what unpickling a message calls
`sharray.passing.rebuilding` arrays from the memory of a message
========================  ====================================================

Who may use which memory when is `sharray.storage`'s to know; see
`sharray.storage.message`.
"""
