"""NumPy's own tests, with shared arrays in the place of those that they make.

======================  ==========================================================
module                  purpose
======================  ==========================================================
`peers.numpy.run`       the command: runs the tests, and tells the differences
`peers.numpy.running`   runs tests in a process of its own
`peers.numpy.plugin`    the plugin of pytest that replaces arrays there
`peers.numpy.arrays`    the arrays that replace NumPy's: shared ones, and controls
`peers.numpy.accepted`  the differences that are meant, each with its reason
======================  ==========================================================
"""
