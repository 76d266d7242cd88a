"""Putting functions in the place of others, and those back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_ABSENT = object()


class Patches:
    """What was there before."""

    def __init__(self) -> None:
        self._originals: dict[tuple[Any, str], Any] = {}

    def patch(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put what `make` makes of an attribute in its place; once is enough.

        Parameters
        ----------
        owner : object
            A module or a class.
        name : str
            Of the attribute, which may be inherited.
        make : callable
            Is called with the original.
        """
        if (owner, name) in self._originals:
            return
        self._originals[owner, name] = vars(owner).get(name, _ABSENT)
        setattr(owner, name, make(getattr(owner, name)))

    def remove(self) -> None:
        """Put all back."""
        while self._originals:
            (owner, name), original = self._originals.popitem()
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
