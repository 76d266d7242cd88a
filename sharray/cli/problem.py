"""The error that ends a command."""


class ProblemError(Exception):
    """What keeps a command from its work, in a sentence for who called it."""
