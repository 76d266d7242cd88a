"""The memory of a team: who works on what, without a system call.

==========  ==================================================================
module      contents
==========  ==================================================================
`layout`    its words
`page`      the memory itself
`protocol`  what the caller and the workers do with the words, in machine code
==========  ==================================================================
"""
