"""Files that hold arrays: their format, and how long they live.

Knows bytes, files and mappings, but no array objects.

============================  ====================================================
module                    what it is for
============================  ====================================================
`sharray.storage.format`    the specification: where what lies in a file
`sharray.storage.header`    the header block, bytes to dtype and shape and back
`sharray.storage.literal`   its text, a Python literal
`sharray.storage.dtypes`    which dtypes there are, and how they are written down
`sharray.storage.trailer`   the trailer page: identity, fault, transit
`sharray.storage.segment`   one mapped file: flush, publish, release
`sharray.storage.making`    new files, complete before anybody sees them
`sharray.storage.naming`    how a new file gets its name
`sharray.storage.replacing`  what a new file replaces, and who may use it
`sharray.storage.room`      room for a new file, and what to say without it
`sharray.storage.attaching` existing files, checked before they are mapped
`sharray.storage.lease`     the lock that a mapping holds, and reaping
`sharray.storage.transit`   handles that are on their way to another process
`sharray.storage.lost`      arrays that end with a pickle of them unopened
`sharray.storage.message`   files that carry messages, and whose turn it is
`sharray.storage.outgoing`  one of them, that this process sends in
`sharray.storage.outbox`    all of those, used again
`sharray.storage.incoming`  one of them, that this process has received in
`sharray.storage.inbox`     all of those, also at a fork
`sharray.storage.privileges` processes that become another user
`sharray.storage.location`  paths and ``shm://`` names, the RAM directory
`sharray.storage.inspection`  what is told of a file to who wants to see it
`sharray.storage.inspecting`  who holds it, what of it is in memory
`sharray.storage.ending`    what a process does for its arrays when it ends
============================  ====================================================
"""
