"""The command ``sharray demo``; `.hillshade` is an example to copy from."""
