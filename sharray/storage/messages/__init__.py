"""Files that carry messages between processes, and are used again.

============  ===============================================
module        contents
============  ===============================================
`outgoing`    one of them, in which this process sends
`outbox`      all of those
`incoming`    one of them, in which this process has received
`inbox`       all of those, also at a fork
`taking`      what a receiver changes in such a file
`relay`       send on what was received, in the same file
`returning`   give all memory back, before there is any
`privileges`  processes that become another user
============  ===============================================
"""
