"""Replace attributes of other packages, and restore them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

_ABSENT = object()


class Replacement(NamedTuple):
    """An attribute, and its replacement.

    Attributes
    ----------
    owner : object
        A module or a class.
    name : str
        Name of the attribute, which may be inherited.
    make : callable
        Return the replacement of its argument, the original.
    """

    owner: Any
    name: str
    make: Callable[[Any], Any]


class _Patch(NamedTuple):
    owner: Any
    name: str
    original: Any
    replacement: Any

    def is_on_top(self) -> bool:
        return vars(self.owner).get(self.name) is self.replacement


class Patches:
    """The replacements of one package, set or not.

    Other libraries may patch the same attributes meanwhile. Their patches stay, and so
    do the replacements that these call. A replacement only calls its original while
    sharray is not installed.

    Parameters
    ----------
    replacements : iterable of Replacement
        All replacements of the package.
    """

    def __init__(self, replacements: Iterable[Replacement]) -> None:
        self._replacements = tuple(replacements)
        self._patches: list[_Patch] = []
        # The last replacement of each attribute. `set` uses it again, so that code
        # that has kept a reference to it still has the current one.
        self._made: dict[tuple[Any, str], _Patch] = {}

    def set(self) -> None:
        """Set all replacements that are not set."""
        for replacement in self._replacements:
            self._patch(replacement)

    def remove(self) -> None:
        """Restore all attributes that no other library has replaced."""
        covered = []
        for patch in reversed(self._patches):
            if not patch.is_on_top():
                covered.append(patch)
            elif patch.original is _ABSENT:
                delattr(patch.owner, patch.name)
            else:
                setattr(patch.owner, patch.name, patch.original)
        self._patches = covered[::-1]

    def _patch(self, replacement: Replacement) -> None:
        owner, name, make = replacement
        for patch in self._patches:
            if (patch.owner, patch.name) == (owner, name) and patch.is_on_top():
                return
        original = vars(owner).get(name, _ABSENT)
        made = self._made.get((owner, name))
        if made is None or made.original is not original:
            made = _Patch(owner, name, original, make(getattr(owner, name)))
            self._made[owner, name] = made
        setattr(owner, name, made.replacement)
        self._patches.append(made)
