"""The command ``sharray``."""


def main() -> None:
    """Run the command."""
