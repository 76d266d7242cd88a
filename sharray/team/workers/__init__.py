"""Worker processes of a team: started, told what they need, ended.

=========  ========================================
module     contents
=========  ========================================
`crew`     the workers together, and what they know
`process`  one worker process, seen from outside
`main`     the same, from inside
`channel`  messages between both
`tables`   numbers for programs and segments
=========  ========================================
"""
