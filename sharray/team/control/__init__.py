"""The control block: shared memory by which a team works without system calls.

==========  ==================================================================
module      contents
==========  ==================================================================
`layout`    its words, their states and invariants
`page`      the memory itself
`protocol`  the steps of the caller and the workers, in machine code
`claims`    how much work a member takes at a time
==========  ==================================================================
"""
