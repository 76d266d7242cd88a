"""The command ``sharray verify``: whether files are what sharray can open.

===========  ================================================================
module       what it is for
===========  ================================================================
`command`    the command and its options
`checks`     checks of one file
===========  ================================================================
"""
