"""Ordinary arrays between processes: messages through shared memory.

============  =======================================================
module        contents
============  =======================================================
`installing`  `install`, `uninstall`, `installed`
`sharing`     `share`, and its reverse `unshare`
`options`     what `install` was told
`joining`     how another process comes to install it
`reach`       who may be at the other end of a connection
`hooks`       what stands in the place of an executor's own functions
`wire`        from an object to the bytes in a pipe, and back
============  =======================================================

Who may use which memory when is `sharray.storage`'s to know; see
`sharray.storage.message_states`.
"""

# Loaded with whatever part is used first, since a process that sends or receives may be
# unable to import: it may have changed its user, or have no descriptor left. A worker's
# first message needs `installing`, a message that finds no file needs `limits`.
from ..system import limits as limits
from . import installing as installing
