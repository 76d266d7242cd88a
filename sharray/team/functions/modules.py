"""The check that workers have the same version of the user's modules.

A worker imports a module once. When its user edits the module and loads it again, or
sets one of its constants, functions that go by reference would run as they were before,
without a word. So each call says which versions the calling process has, and a worker
compares those of the modules that it has imported, too::

      caller                                      worker
      versions: name -> digest    ------------>   imports what the call refers to
                                                  equal?  runs the call
      sends these modules by      <------------   no: `Differ`, with their names
      value from now on

Installed modules are left out: people do not edit them, and there are many.

A digest covers the code of all functions and classes of a module, and its constants:
numbers and strings that no function of the module assigns.
"""

from __future__ import annotations

import dis
import hashlib
import itertools
import operator
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

_CONSTANTS = (bool, int, float, complex, str, bytes)
_INSTALLED = {"site-packages", "dist-packages"}
_STDLIB = sysconfig.get_paths()["stdlib"]
_NOT_OF_USERS = {__name__.partition(".")[0], "__main__", "__mp_main__"}


class _Version(NamedTuple):
    """The digest of a module, and the objects that it was made from.

    Attributes
    ----------
    objects : tuple
        The module, its constants, its code, and what it has from other modules.
    digest : bytes
        The digest.
    needs : tuple of str
        Modules from which it has functions, classes or the module itself.
    """

    objects: tuple[Any, ...]
    digest: bytes
    needs: tuple[str, ...]


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


def imported_by(code: CodeType) -> Iterator[str]:
    """Yield the modules that code imports when it runs."""
    yield from (name for name in code.co_names if name in sys.modules)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imported_by(constant)


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
    constants = [item for item in items if type(item[1]) in _CONSTANTS]
    codes = list(_codes_of(own, items))
    others = [
        item
        for item in items
        # Not isinstance, which asks the object: a proxy may refuse the answer.
        if issubclass(type(item[1]), (FunctionType, type, ModuleType))
        and _origin(item[1])[0] != own
    ]
    flat = itertools.chain(*constants, codes, *others)
    objects = (module, *flat)
    known = _known.get(name)
    if known is None or not _are_same(known.objects, objects):
        needs = {code for one in codes for code in imported_by(one)}
        needs.update(_origin(value)[0] for _, value in others)
        digest = _digest_of(codes, constants, others)
        known = _known[name] = _Version(objects, digest, tuple(needs))
    return known


def _are_same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    # The names among them are interned, so they are the same objects, too.
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _origin(value: Any) -> tuple[str, str]:
    """Return the module and the name of a function or class; of a module, its own."""
    if isinstance(value, ModuleType):
        return value.__name__, ""
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) else "", value.__qualname__


def _digest_of(
    codes: Iterable[CodeType],
    constants: Iterable[tuple[str, Any]],
    others: Iterable[tuple[str, Any]],
) -> bytes:
    assigned = {name for code in codes for name in _assigned(code)}
    texts = [_text(code) for code in codes]
    texts += [
        f"{name}={_text(value)}"
        for name, value in constants
        if name not in assigned and not name.startswith("__")
    ]
    texts += [f"{name}: {_origin(value)}" for name, value in others]
    joined = ";".join(texts).encode(errors="surrogatepass")
    return hashlib.blake2b(joined, digest_size=16).digest()


def _codes_of(name: str, items: Iterable[tuple[str, Any]]) -> Iterator[CodeType]:
    """Yield the code of the functions and classes that a module has defined."""
    for key, value in items:
        with suppress(Exception):  # any object may raise here, such as a lazy one
            if key.startswith("__") or value.__module__ != name:
                continue
            if isinstance(value, type):
                yield from (member.__code__ for member in _members_of(value))
            else:
                yield _unwrapped(value).__code__


def _unwrapped(value: Any) -> Any:
    """Return the function in a decorated one, or in one of ``numba.njit``."""
    inner = getattr(value, "__wrapped__", None) or getattr(value, "py_func", None)
    return value if inner is None else _unwrapped(inner)


def _members_of(kind: type) -> Iterator[FunctionType]:
    for _, value in sorted(vars(kind).items(), key=lambda item: item[0]):
        if isinstance(value, property):
            found = [value.fget, value.fset, value.fdel]
        else:
            found = [getattr(value, "__func__", value)]
        for one in found:
            if isinstance(one, FunctionType):
                yield one


def _text(constant: Any) -> str:
    """Return a text that is the same for the same code or constant in each process.

    The lines where code stands are left out.
    """
    if isinstance(constant, CodeType):
        names = "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_consts"
        parts = (getattr(constant, name) for name in names)
        return f"{constant.co_name}{constant.co_code!r}{[*map(_text, parts)]}"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_text, constant))})"
    if isinstance(constant, frozenset):  # its order differs between processes
        return f"{{{', '.join(sorted(map(_text, constant)))}}}"
    # `repr` refuses integers of more than 4300 digits.
    return hex(constant) if type(constant) is int else repr(constant)


def _assigned(code: CodeType) -> Iterator[str]:
    """Yield the names of the global variables that code assigns."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_GLOBAL":
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _assigned(constant)
