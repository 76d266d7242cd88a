"""The commands, each a module, or a package whose module `command` has the command."""
