"""From an object to the bytes in a pipe, and back.

============  =============================================
module        contents
============  =============================================
`collecting`  pickling, with the memory of arrays set aside
`packing`     the parts of a message in memory
`sending`     from an object to the bytes for the pipe
`delivering`  from these bytes to the pipe
`forwarding`  bytes of a message that are sent on
`receiving`   what unpickling a message calls
`rebuilding`  arrays from the memory of a message
============  =============================================
"""
