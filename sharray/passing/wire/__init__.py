"""Messages: from an object to the bytes in a pipe, and back.

============  =================================================
module        contents
============  =================================================
`light`       write messages before NumPy is imported
`collecting`  pickle an object, and set its arrays aside
`packing`     arrange the parts of a message in memory
`sending`     write the bytes for the pipe
`delivering`  send these bytes through the pipe
`relaying`    send results back in the file of their arguments
`forwarding`  send the bytes of a received message on
`receiving`   open a message when it is unpickled
`rebuilding`  make arrays from the memory of a message
============  =================================================
"""
