"""Checks of the directory for arrays in RAM, and of huge pages."""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import replace

from ....errors import SharrayError
from ....names import ENVIRONMENT_VARIABLE
from ....storage import location
from ....system import files, huge_pages, limits, mounts
from ....system.limits import GroupLimit, HugePages, Memory
from ....system.mounts import FileSystem
from ...output import size
from . import Finding, Verdict, as_root, calls
from .directory import IN_MEMORY, check_room

_WHY = "Arrays from sh.zeros() and shm:// names have their files there."
_VARIABLE = ENVIRONMENT_VARIABLE
_UNSET = f"unset {_VARIABLE}"
_SHMEM = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"


def check_ram() -> list[Finding]:
    """Run all checks of arrays in RAM."""
    chosen = os.environ.get(_VARIABLE, "")
    try:
        path = location.ram_directory()
    except SharrayError as error:
        commands = (f"mkdir -p -m 700 {shlex.quote(chosen)}", _UNSET)
        return [Finding("RAM directory", Verdict.FAULT, f"{error}.", _WHY, commands)]
    system = mounts.file_system(os.path.dirname(path))
    mode, fault, missing = try_ram_directory(path)
    is_huge = not fault and try_huge_pages(system.point)
    found = [
        check_ram_directory(path, mode, fault, system.kind, is_chosen=bool(chosen)),
        check_ram_room(system, limits.memory(), limits.memory_limit()),
        check_huge_pages(system, limits.huge_pages(), is_huge),
    ]
    return found if fault else [*found, calls.check_calls("calls in RAM", missing)]


def try_ram_directory(path: str) -> tuple[int, str | None, tuple[str, ...]]:
    """Return the mode of the directory, its fault, and the calls that it lacks."""
    exists = os.path.lexists(path)
    mode = stat.S_IMODE(os.lstat(path).st_mode) if exists else 0o700
    try:
        location.make_ram_directories(path)
        return mode, None, calls.missing_in(path)
    except OSError as error:
        return mode, str(error.strerror), ()
    finally:
        if not exists:
            location.tidy_ram_directories(path)


def check_ram_directory(
    path: str, mode: int, fault: str | None, kind: str, *, is_chosen: bool
) -> Finding:
    """Check that the directory is usable, in memory, and private."""
    chmod = f"chmod 700 {shlex.quote(path)}"
    found = f"{path} (mode {mode:04o}) is on {kind or 'an unknown file system'}."
    verdict, why, command = Verdict.OK, _WHY, ""
    if fault:
        verdict, found = Verdict.FAULT, f"{fault.rstrip('.')}."
        command = f"mkdir -p -m 700 ~/ram && export {_VARIABLE}=~/ram"
        if "others may write" in fault:
            command = chmod
        elif is_chosen:
            command = _UNSET
    elif kind and kind not in IN_MEMORY:
        verdict, command = Verdict.WARNING, _UNSET if is_chosen else ""
        why = "Anonymous arrays are files on this disk; a tmpfs is faster."
    elif mode & 0o077:
        verdict, command = Verdict.NOTE, chmod
        why = "Others may list the names of arrays; their contents are private."
    commands = (command,) if command else ()
    return Finding("RAM directory", verdict, found, why, commands)


def check_ram_room(
    system: FileSystem, memory: Memory | None, group: GroupLimit | None
) -> Finding:
    """Check that the file system is neither too small nor larger than memory."""
    room = check_room("room in RAM", system)
    if "ro" in system.options:
        return replace(room, commands=(_remount(system, "rw"),))
    if room.verdict is not Verdict.OK:
        return replace(room, commands=("sharray gc", "sharray ls"))
    if memory is None or system.kind not in IN_MEMORY:
        return room
    most = min(memory.total, group.limit if group else memory.total)
    if system.size is not None and system.size < most // 10:
        verdict = Verdict.WARNING
        why = "Large arrays do not fit, nor do large messages after sh.install()."
    elif system.size is None or system.size > most * 9 // 10:
        verdict = Verdict.NOTE if most == memory.total else Verdict.WARNING
        why = "Filling it uses up the memory; the kernel then kills a process (OOM)."
    else:
        return room
    megabytes = max(64, most // 2 >> 20)
    commands = (
        _remount(system, f"size={megabytes}M"),
        f"docker run --shm-size={megabytes}m ...  # in a container",
    )
    found = f"{room.found} Programs may use {size(most)} of memory."
    return Finding(room.name, verdict, found, why, commands)


def try_huge_pages(path: str) -> bool:
    """Tell whether a new file in a directory gets huge pages."""
    fd = files.open_unnamed(path)
    if fd is None:
        return False
    try:
        return huge_pages.fill(fd, huge_pages.smallest_file())
    finally:
        files.close(fd)


def check_huge_pages(system: FileSystem, huge: HugePages, works: bool) -> Finding:
    """Check whether large arrays in RAM get huge pages."""
    name = "huge pages"
    why = "They make it several times faster to create large arrays in RAM."
    if huge.shmem is None or system.kind != "tmpfs":
        found = "Not used: they need a tmpfs and a kernel that has them for files."
        return Finding(name, Verdict.OK, found, why)
    options = dict(option.partition("=")[::2] for option in system.options)
    setting = options.get("huge", "never")
    is_set = huge.shmem == "force" or setting in ("always", "within_size")
    if works or (is_set and huge.shmem != "deny"):
        found = f"Arrays of {size(2 * huge.size)} and more have them, {size(huge.size)}"
        return Finding(name, Verdict.OK, f"{found} each.", why)
    found = f"{system.point} has huge={setting}; shmem_enabled is {huge.shmem}."
    commands: tuple[str, ...] = ()
    if huge.shmem == "deny":
        commands = (f"echo never | {as_root(f'tee {_SHMEM}')}",)
    elif not is_set:
        why += " Since Linux 6.1, arrays have them without this setting."
        # Not "always", which gives a huge page to each small array, too.
        commands = (_remount(system, "huge=within_size"),)
    return Finding(name, Verdict.NOTE, f"Not used. {found}", why, commands)


def _remount(system: FileSystem, option: str) -> str:
    command = as_root(f"mount -o remount,{option} {shlex.quote(system.point)}")
    return f"{command}  # until a reboot"
