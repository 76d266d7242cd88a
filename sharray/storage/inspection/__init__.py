"""What the system and a file tell about an array, for `sharray.inspect`.

===========  ========================================================
module       contents
===========  ========================================================
`inspector`  inspecting files, one or many, and finding their holders
`looking`    opening and mapping a file for a look at its pages
`result`     `Inspection`, and how a terminal and a notebook show it
`holder`     `Holder`, `PageView`
===========  ========================================================
"""
