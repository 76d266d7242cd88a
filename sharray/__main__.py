"""``python -m sharray`` is the command ``sharray``."""

from .cli import main

main()
