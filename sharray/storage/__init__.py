"""Files that hold arrays: their format and their lifetime.

This package deals with bytes, files and mappings, but not with array objects.

================  =====================================================
module            contents
================  =====================================================
`format`          the specification of both layouts of a file
`header`          headers of files: from bytes to dtype and shape
`new_header`      headers of new files
`literal`         the header's text, a Python literal
`dtypes`          dtypes that arrays can have, and how they are written
`trailer`         the last page of a file in RAM: identity, fault, transit
`control_page`    what processes share about a file on a disk
`growable`        files that can grow, and making others so
`growing`         appending rows, and waiting for them
`page_holding`    holding a control page, and refusing other containers
`rows_field`      the number of rows in a growable header: where, how written
`header_rows`     the same number, read and written in a file
`identity`        which file it is: equal only for the same
`segment`         one mapped file: its path, state and release
`file_sharing`    what a segment shares: a fault, and appended rows
`flushing`        writing a file to the disk, and errors of that
`making`          new files, complete before others see them
`new_file`        writing a new file, and bringing it to the disk
`publishing`      files that are filled before they get their name
`snapshots`       all data of a mapped file in a new file
`cloning`         files that share the blocks of another
`naming`          giving a new file its name
`replacing`       the file that a new one replaces, and access rights
`room`            room for a new file, and errors without it
`attaching`       existing files, checked before they are mapped
`existing`        an existing file in place of a new one, if it fits
`staleness`       whether a file still is the array that is mapped
`location`        paths and ``shm://`` names, the RAM directory
`inspection`      the holders of a file, and its pages in memory
`lifetime`        leases, handles in transit, lost arrays
`kept`            mappings that stay for the next handle
`ending`          letting go of arrays at the end, and sweeping
`message_states`  whose turn it is with a message
`messages`        files that carry messages
================  =====================================================
"""
