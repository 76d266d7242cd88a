"""What notebooks need: the running IPython, and HTML that suits its themes.

==========================  ====================================================
module                      contents
==========================  ====================================================
`sharray.notebook.ipython`  the running shell, and names of cells
`sharray.notebook.html`     cards, tables and bars
`sharray.notebook.text`     text for terminals too: sizes, untrusted names
==========================  ====================================================
"""
