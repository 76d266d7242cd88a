"""The command ``sharray verify``: it checks files for damage."""
