"""Worker processes of a team: start them, send them commands, end them.

=============  ==================================================
module         contents
=============  ==================================================
`crew`         all workers, with their programs and segments
`process`      one worker process, seen from the team's process
`main`         the program of a worker process
`channel`      messages between the two
`tables`       numbers for programs and segments
`fork_server`  prepared interpreters, seen from the team's process
`forking`      the program of such an interpreter
=============  ==================================================
"""
