"""The check that workers have the same version of the user's modules.

A worker imports a module once. When its user edits the module and loads it again, or
sets one of its constants, functions that go by reference would run as they were before,
without a word. So each call says which versions the calling process has, and a worker
compares those of the modules that it has imported, too::

      caller                                      worker
      versions: name -> digest    ------------>   imports what the call refers to
                                                  equal?  runs the call
      sends these modules by      <------------   no: `Differ`, with their names
      value from now on, with
      those that use them

A function that goes by value must not get what workers have: if it imports such a
module when it runs, or refers to something that goes by reference only, the call is
refused.

Installed modules are left out: people do not edit them, and there are many.

A digest covers the code of all functions and classes of a module, the values that they
were made with, and the variables of the module that none of its functions assigns:
numbers, strings, arrays, containers of these, and functions in them. See `contents`.
Other objects cannot be compared between processes. But if a module has got other ones
since it was first looked at, workers may still have those of before. So it goes by
value from then on.
"""

from __future__ import annotations

import dis
import hashlib
import itertools
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import PurePath
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from .contents import (
    Text,
    attributes_of,
    bound_to,
    comparable,
    functions_of,
    is_importable,
    text,
)

_INSTALLED = {"site-packages", "dist-packages"}
_STDLIB = sysconfig.get_paths()["stdlib"]
_NOT_OF_USERS = {__name__.partition(".")[0], "__main__", "__mp_main__"}


class _Version(NamedTuple):
    """The digest of a module, and the objects that it was made from.

    Attributes
    ----------
    objects : tuple
        The module and what it has, or the text of what can change in place.
    digest : bytes
        The digest.
    needs : tuple of str
        Modules from which it has functions, classes or the module itself.
    others : list
        Its objects that cannot be compared between processes.
    changes : int
        How often these were found to be other objects.
    """

    objects: tuple[Any, ...]
    digest: bytes
    needs: tuple[str, ...]
    others: list[Any]
    changes: int


_known: dict[str, _Version] = {}
_of_users: dict[str, tuple[Any, bool]] = {}


class Differ(Exception):  # noqa: N818  # never leaves the package
    """Modules of a worker have other code than those of the calling process."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


def versions(names: Iterable[str], but: Collection[str] = ()) -> dict[str, bytes]:
    """Return the digests of modules of the user, and of those that they use.

    Parameters
    ----------
    names : iterable of str
        Names of any modules.
    but : collection of str
        Names of modules to leave out.
    """
    found: dict[str, bytes] = {}
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        module = sys.modules.get(name)
        if name in found or name in but or not _is_of_user(name, module):
            continue
        version = _version_of(name, module)
        found[name] = version.digest
        ahead += version.needs
    return found


def users_of(names: Iterable[str], found: Iterable[str]) -> set[str]:
    """Return modules with those that use them, directly or through others.

    All of them must go by value. A function that goes by reference would use the
    functions and variables that the workers have.

    Parameters
    ----------
    names : iterable of str
        Names of the modules.
    found : iterable of str
        Names of all modules that may use them, from `versions`.
    """
    users, ahead = set(names), set(names)
    while ahead:
        ahead = {one for one in found if not ahead.isdisjoint(_known[one].needs)}
        ahead -= users
        users |= ahead
    return users


def imported_by(code: CodeType, package: str = "") -> Iterator[str]:
    """Yield the modules that code may import when it runs, and perhaps others.

    Parameters
    ----------
    code : code
        The code.
    package : str
        Package of its module, in which it may import others by ``from .``.
    """
    named = *code.co_names, *(one for one in code.co_consts if type(one) is str)
    yield from (name for name in named if name in sys.modules)
    parent = package
    while parent:
        inside = (f"{parent}.{name}" for name in code.co_names)
        yield from (name for name in inside if name in sys.modules)
        parent = parent.rpartition(".")[0]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imported_by(constant, package)


def imports_of(code: CodeType) -> Iterator[str]:
    """Yield what code imports, as ends of names: ``.module``; and its strings."""
    module = ""
    for one in dis.get_instructions(code):
        if one.opname == "IMPORT_NAME":
            module = f".{one.argval}".rstrip(".")
            yield module
        elif one.opname == "IMPORT_FROM":
            yield f"{module}.{one.argval}"
        elif one.opname == "LOAD_CONST" and isinstance(one.argval, str):
            yield one.argval


def check(found: dict[str, bytes]) -> None:
    """Compare the versions of another process with those here.

    Raises
    ------
    Differ
        A module is here, too, and its code is another.
    """
    names = [
        name
        for name, digest in found.items()
        if (module := sys.modules.get(name)) is not None
        and _version_of(name, module).digest != digest
    ]
    if names:
        raise Differ(names)


def _is_of_user(name: str, module: Any) -> bool:
    known = _of_users.get(name)
    if known is None or known[0] is not module:
        known = _of_users[name] = module, _is_editable(name, module)
    return known[1]


def _is_editable(name: str, module: Any) -> bool:
    path = getattr(module, "__file__", None)
    top = name.partition(".")[0]
    return (
        isinstance(module, ModuleType)
        and isinstance(path, str)
        and name not in _NOT_OF_USERS
        and top not in _NOT_OF_USERS
        and top not in sys.stdlib_module_names
        and _INSTALLED.isdisjoint(PurePath(path).parts)
        and not path.startswith(_STDLIB)
    )


def _version_of(name: str, module: Any) -> _Version:
    # A copy, since the dict may grow in another thread.
    items = sorted(vars(module).copy().items(), key=lambda item: item[0])
    own = module.__name__
    items = [item for item in items if not _is_of_python(item[0])]
    functions = [one for _, value in items for one in functions_of(value, own)]
    parts = [part for one in functions for part in bound_to(one)]
    attributes = [item for _, value in items for item in attributes_of(value, own)]
    flat = itertools.chain(parts, *attributes, *items)
    objects = (module, *itertools.chain(*map(comparable, flat)))
    known = _known.get(name)
    if known is None or not _are_same(known.objects, objects):
        others = [item for item in items if _is_from_elsewhere(item[1], own)]
        codes = [one.__code__ for one in functions]
        package = getattr(module, "__package__", None) or ""
        needs = {name for one in codes for name in imported_by(one, package)}
        needs.update(_origin(value)[0] for _, value in others)
        assigned = {name for code in codes for name in _assigned(code)}
        values = [item for item in items if item[0] not in assigned]
        texts, unknown = _texts_of(parts, attributes, values, own)
        texts += [f"{name}: {_origin(value)}" for name, value in others]
        changes = 0
        if known is not None:
            changes = known.changes + (not _are_same(known.others, unknown))
        texts.append(str(changes))
        found = objects, _digest_of(texts), tuple(needs), unknown, changes
        known = _known[name] = _Version(*found)
    return known


def _is_of_python(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_from_elsewhere(value: Any, own: str) -> bool:
    # Not isinstance, which asks the object: a proxy may refuse the answer.
    is_named = issubclass(type(value), (FunctionType, type))
    is_other = issubclass(type(value), ModuleType) or (
        is_named and is_importable(value)
    )
    return is_other and _origin(value)[0] != own


def _are_same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(map(_is_same, some, others))


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) is Text and one == other)


def _origin(value: Any) -> tuple[str, str]:
    """Return the module and the name of a function or class; of a module, its own."""
    if isinstance(value, ModuleType):
        return value.__name__, ""
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) else "", value.__qualname__


def _texts_of(
    parts: Iterable[Any],
    attributes: Iterable[tuple[str, Any]],
    values: Iterable[tuple[str, Any]],
    module: str,
) -> tuple[list[str], list[Any]]:
    """Return texts of what a module has, and the objects that have none."""
    others: list[Any] = []
    texts = [text(one, others) for one in (*parts, *attributes)]
    for item in values:
        # What a decorated function is made of is among the parts.
        is_decorated = any(functions_of(item[1], module))
        is_decorated = is_decorated and type(item[1]) is not MethodType
        texts.append(text(item, [] if is_decorated else others))
    return texts, others


def _digest_of(texts: list[str]) -> bytes:
    joined = ";".join(texts).encode(errors="surrogatepass")
    return hashlib.blake2b(joined, digest_size=16).digest()


def _assigned(code: CodeType) -> Iterator[str]:
    """Yield the names of the global variables that code assigns."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_GLOBAL":
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _assigned(constant)
