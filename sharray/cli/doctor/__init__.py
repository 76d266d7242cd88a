"""The command ``sharray doctor``: what may keep sharray from working here.

============================  ================================================
module                        what it is for
============================  ================================================
`sharray.cli.doctor.command`    the command and its options
`sharray.cli.doctor.finding`    what one check says
`sharray.cli.doctor.facts`      what the checks look at, asked of this machine
`sharray.cli.doctor.probes`     what can only be found out by trying
`sharray.cli.doctor.calls`      optional system calls, and what their lack costs
`sharray.cli.doctor.trial`      an array, made, sent, written and removed
`sharray.cli.doctor.host`       commands that are right for this machine
`sharray.cli.doctor.software`   checks of the system, Python and packages
`sharray.cli.doctor.ram`        checks of the directory for arrays in RAM
`sharray.cli.doctor.memory`     checks of memory, its limits and huge pages
`sharray.cli.doctor.quotas`     checks of the limits of processes
`sharray.cli.doctor.place`      checks of a directory for arrays on a disk
`sharray.cli.doctor.report`     what is printed
============================  ================================================

Checks are functions from facts to a finding and ask the machine for nothing.
"""
