"""Reports: on the terminal, in Markdown, as a plot, published in the repository."""
