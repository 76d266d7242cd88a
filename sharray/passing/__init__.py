"""Ordinary arrays between processes: messages through shared memory.

============  =======================================================
module        what it is for
============  =======================================================
`installing`  `install`, `uninstall`, `installed`
`sharing`     `share`, and its reverse `unshare`
`options`     what `install` was told
`starting`    new processes, which install it, too
`reach`       who may be at the other end of a connection
`hooks`       what stands in the place of an executor's own functions
`wire`        from an object to the bytes in a pipe, and back
============  =======================================================

Who may use which memory when is `sharray.storage`'s to know; see
`sharray.storage.messages.states`.
"""
