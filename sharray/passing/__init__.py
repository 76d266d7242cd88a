"""Ordinary arrays between processes: messages through shared memory.

============  =======================================================
module        contents
============  =======================================================
`installing`  `install`, `uninstall`, `installed`
`sharing`     `share`, and its reverse `unshare`
`options`     the options of `install`, and whether it was called
`joining`     the messages by which a worker installs sharray, too
`reach`       the kind of process at the other end of a connection
`hooks`       functions that replace those of executors
`wire`        from an object to the bytes in a pipe, and back
============  =======================================================

`sharray.storage.message_states` describes the memory of messages: its states, and the
process that may use it in each.
"""

# Import it with any part of the package: the first message of a worker needs it. Later,
# a process may be unable to import: it may have changed its user, or have no descriptor
# left. Without NumPy, it needs no more; `sharray.passing.wire.light` imports the rest.
from . import installing as installing
