"""How long the files of anonymous arrays live, and who removes them.

=========  ==============================================
module     contents
=========  ==============================================
`lease`    the lock that a mapping holds, and reaping
`transit`  handles on their way to another process
`lost`     arrays that end with a pickle of them unopened
=========  ==============================================
"""
