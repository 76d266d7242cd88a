"""Shared arrays: the ndarray subclass, its constructors, its handles.

================================  ======================================================
module                            contents
================================  ======================================================
`sharray.arrays.core`             `SharedArray`, an ndarray on a mapped file
`sharray.arrays.creation`         `zeros`, `array` and the other anonymous arrays
`sharray.arrays.named`            `create` and `open`, for named arrays
`sharray.arrays.dtype_and_shape`  checks of the constructors' arguments
`sharray.arrays.filling`          initial values of new arrays
`sharray.arrays.handle`           handles: the pickled form of a view, and opening it
`sharray.arrays.pickling`         the purpose of a pickle: to be sent, or to be kept
`sharray.arrays.root`             a mapping as one array of bytes, the base of all views
`sharray.arrays.addresses`        look-up of the root array at an address
`sharray.arrays.advice`           advice to the system about the pages of a view
`sharray.arrays.growing`          methods of growable arrays: append rows, see new ones
`sharray.arrays.publishing`       `publish`: an array that is named when complete
`sharray.arrays.snapshots`        `snapshot`: all data of an array in a new file
`sharray.arrays.views`            shared arrays on memory: all data, bytes, a view
`sharray.arrays.catalog`          `list`, `inspect`, `unlink`, `gc`, `clear_fault`
`sharray.arrays.display`          the repr of an array, and its card in notebooks
================================  ======================================================
"""
