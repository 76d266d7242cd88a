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
    """The digest of a module, and the objects that it was made from."""

    module: ModuleType
    codes: tuple[CodeType, ...]
    constants: tuple[tuple[str, Any], ...]
    digest: bytes

    def is_of(self, other: _Version) -> bool:
        """Return whether another version has the same objects."""
        return (
            self.module is other.module
            and len(self.codes) == len(other.codes)
            and len(self.constants) == len(other.constants)
            and all(map(_is, self.codes, other.codes))
            and all(
                one[0] == two[0] and one[1] is two[1]
                for one, two in zip(self.constants, other.constants, strict=True)
            )
        )


_known: dict[str, _Version] = {}
_loaded: tuple[str, ...] = ()  # the names of all modules, and those of users among them
_of_users: tuple[str, ...] = ()


class Differ(Exception):  # noqa: N818  # never leaves the package
    """Modules of a worker have other code than those of the calling process."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


def versions(but: Collection[str] = ()) -> dict[str, bytes]:
    """Return the digest of each module of the user in this process.

    Parameters
    ----------
    but : collection of str
        Names of modules to leave out.
    """
    global _loaded, _of_users
    loaded = tuple(sys.modules)
    if loaded != _loaded:
        _of_users = tuple(filter(_is_of_user, loaded))
        _loaded = loaded
    return {
        name: _digest(name, module)
        for name in _of_users
        if name not in but and (module := sys.modules.get(name)) is not None
    }


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
        and _digest(name, module) != digest
    ]
    if names:
        raise Differ(names)


def _is_of_user(name: str) -> bool:
    module = sys.modules.get(name)
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


def _digest(name: str, module: ModuleType) -> bytes:
    # A copy, since the dict may grow in another thread.
    items = sorted(vars(module).copy().items(), key=lambda item: item[0])
    codes = tuple(_codes_of(module.__name__, items))
    constants = tuple(item for item in items if type(item[1]) in _CONSTANTS)
    found = _Version(module, codes, constants, b"")
    known = _known.get(name)
    if known is None or not known.is_of(found):
        known = found._replace(digest=_digest_of(codes, constants))
        _known[name] = known
    return known.digest


def _digest_of(
    codes: Iterable[CodeType], constants: Iterable[tuple[str, Any]]
) -> bytes:
    assigned = {name for code in codes for name in _assigned(code)}
    digest = hashlib.blake2b(digest_size=16)
    for code in codes:
        digest.update(_text(code).encode(errors="surrogatepass"))
    for name, value in constants:
        if name not in assigned and not name.startswith("__"):
            digest.update(f"{name}={_text(value)};".encode(errors="surrogatepass"))
    return digest.digest()


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


def _is(one: object, other: object) -> bool:
    return one is other


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
