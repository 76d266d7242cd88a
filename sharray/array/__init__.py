"""Shared arrays: the ndarray subclass, its constructors, its handles.

===============================  ======================================================
module                           contents
===============================  ======================================================
`sharray.array.core`             `SharedArray`, an ndarray on a mapped file
`sharray.array.creation`         `zeros`, `array` and the other anonymous arrays
`sharray.array.named`            `create` and `open`, for named arrays
`sharray.array.dtype_and_shape`  checks of the constructors' arguments
`sharray.array.filling`          initial values of new arrays
`sharray.array.handle`           handles: the pickled form of a view, and opening it
`sharray.array.pickling`         the purpose of a pickle: to be sent, or to be kept
`sharray.array.root`             a mapping as one array of bytes, the base of all views
`sharray.array.addresses`        look-up of the root array at an address
`sharray.array.advice`           advice to the system about the pages of a view
`sharray.array.growing`          methods of growable arrays: append rows, see new ones
`sharray.array.publishing`       `publish`: an array that is named when complete
`sharray.array.snapshots`        `snapshot`: all data of an array in a new file
`sharray.array.views`            shared arrays on memory: all data, bytes, a view
`sharray.array.catalog`          `list`, `inspect`, `unlink`, `gc`, `clear_fault`
`sharray.array.display`          the repr of an array, and its card in notebooks
===============================  ======================================================
"""
