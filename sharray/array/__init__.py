"""Shared arrays: the ndarray subclass, its constructors, its handles.

========================  ====================================================
module                    what it is for
========================  ====================================================
`sharray.array.core`        `SharedArray`, an ndarray that knows where it lives
`sharray.array.creation`    `zeros`, `array` and the other anonymous arrays
`sharray.array.named`       `create` and `open`, for arrays with a name
`sharray.array.arguments`   the constructors' arguments, checked
`sharray.array.filling`     the values that new arrays begin with
`sharray.array.handle`      what a pickled view consists of, and opening it
`sharray.array.pickling`    why an array is pickled: to be sent, or to be kept
`sharray.array.root`        the mapping as one array of bytes, base of all views
`sharray.array.addresses`   which of them an address belongs to
`sharray.array.wholes`      arrays on all the data of a file
`sharray.array.catalog`     `list`, `inspect`, `unlink`, `gc`, `clear_fault`
`sharray.array.display`     how an array presents itself
========================  ====================================================
"""
