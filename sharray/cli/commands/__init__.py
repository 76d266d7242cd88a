"""The commands: each is a module of its name, or a package with a module `command`."""
