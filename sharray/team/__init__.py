"""Teams: worker processes that run kernels together on shared arrays.

=======================  =======================================================
module                   what it is for
=======================  =======================================================
`sharray.team.team`        `Team`: what users call
`sharray.team.default`     the team behind `sharray.run`
`sharray.team.options`     what the options of a run can be
`sharray.team.arguments`   what is split, what is whole, what is refused
`sharray.team.copying`     shared copies of ordinary arrays
`sharray.team.splitting`   how large chunks are
`sharray.team.plan`        what stays the same from run to run
`sharray.team.running`     one run, and how it can end
`sharray.team.futures`     runs in the background
`sharray.team.serial`      a run while numba is switched off
`sharray.team.progress`    the bar
`sharray.team.crew`        the workers together, and what they know
`sharray.team.processes`   one worker process, seen from outside
`sharray.team.worker`      the same, from inside
`sharray.team.channel`     messages between both
`sharray.team.service`     what both do in machine code
`sharray.team.layout`      the words in memory through which they do it
`sharray.team.control`     that memory
`sharray.team.survey`      what all teams of this user do, from outside
`sharray.team.tables`      numbers for programs and segments
=======================  =======================================================
"""
