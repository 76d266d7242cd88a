"""Files that hold arrays: their format, and how long they live.

Knows bytes, files and mappings, but no array objects.

============  =====================================================
module        what it is for
============  =====================================================
`format`      the specification: where what lies in a file
`header`      the header block, bytes to dtype and shape and back
`literal`     its text, a Python literal
`dtypes`      which dtypes there are, and how they are written down
`trailer`     the trailer page: identity, fault, transit
`segment`     one mapped file: where it is, publish, release
`flushing`    bringing it to the disk, and what failed
`making`      new files, complete before anybody sees them
`naming`      how a new file gets its name
`replacing`   what a new file replaces, and who may use it
`room`        room for a new file, and what to say without it
`attaching`   existing files, checked before they are mapped
`location`    paths and ``shm://`` names, the RAM directory
`inspection`  who holds a file, how much of it is in memory
`lifetime`    how long anonymous arrays live
`messages`    files that carry messages
============  =====================================================
"""
