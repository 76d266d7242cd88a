"""The command ``sharray doctor``: what may keep sharray from working here.

===========  ================================================================
module       what it is for
===========  ================================================================
`command`    the command and its options
`finding`    what one check says
`facts`      what the checks look at, asked of this machine
`probes`     what can only be found out by trying
`calls`      optional system calls, and what their lack costs
`trial`      an array, made, sent, written and removed
`host`       commands that are right for this machine
`software`   checks of the system, Python and packages
`ram`        checks of the directory for arrays in RAM
`memory`     checks of memory, its limits and huge pages
`quotas`     checks of the limits of processes
`place`      checks of a directory for arrays on a disk
`report`     what is printed
===========  ================================================================

Checks are functions from facts to a finding and ask the machine for nothing.
"""
