"""Disks for tests: file systems on loop devices, which only root can mount."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
_WITHOUT_FLUSHING_THE_LOG = 2


def can_mount() -> bool:
    """Return whether this user can mount loop devices."""
    return (
        os.getuid() == 0
        and os.path.exists("/dev/loop-control")
        and shutil.which("mkfs.ext4") is not None
    )


def _knows(kind: str) -> bool:
    """Return whether the kernel has a file system."""
    return f"\t{kind}\n" in Path("/proc/filesystems").read_text()


needs_disks = pytest.mark.skipif(
    not can_mount(), reason="needs root, loop devices and mkfs.ext4"
)

needs_xfs = pytest.mark.skipif(
    not can_mount() or shutil.which("mkfs.xfs") is None or not _knows("xfs"),
    reason="needs root, loop devices, mkfs.xfs and a kernel with XFS",
)


def run(*command: str) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Disk:
    """A file system in an image file, mounted at `path`."""

    def __init__(self, image: Path, path: Path, kind: str = "ext4") -> None:
        self.path = path
        self._image = image
        self._kind = kind
        self._device: str | None = None
        path.mkdir()

    def make(self, megabytes: int, *options: str) -> None:
        """Make the file system."""
        with self._image.open("wb") as file:
            file.truncate(megabytes << 20)
        force = {"ext4": "-F", "xfs": "-f"}[self._kind]
        run(f"mkfs.{self._kind}", "-q", force, *options, str(self._image))

    def mount(self) -> None:
        """Mount it, again after a power cut."""
        if self._device is None:
            self._device = run("losetup", "-f", "--show", str(self._image))
        options = ["-o", "errors=continue"] if self._kind == "ext4" else []
        run("mount", "-t", self._kind, *options, self._device, str(self.path))

    def cut_power(self, then: Callable[[], None] = lambda: None) -> None:
        """Let nothing more reach the disk, and mount it again as it is.

        `then` is called in between, to end processes that use the disk.
        """
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(fd)
        then()
        run("umount", str(self.path))
        self.mount()

    def remove(self) -> None:
        """Unmount the disk, and remove its device."""
        # Lazily, since a test that has failed may still have files open.
        command = ["umount", "--lazy", str(self.path)]
        subprocess.run(command, check=False, capture_output=True)
        if self._device is not None:
            run("losetup", "-d", self._device)


@contextmanager
def disk(directory: Path) -> Iterator[Disk]:
    """Yield a disk of 64 MB."""
    made = Disk(directory / "image", directory / "disk")
    try:
        made.make(64)
        made.mount()
        yield made
    finally:
        made.remove()


@contextmanager
def xfs(directory: Path) -> Iterator[Disk]:
    """Yield a disk of 300 MB, the least for XFS, that can clone files."""
    made = Disk(directory / "image", directory / "disk", "xfs")
    try:
        made.make(300, "-m", "reflink=1")
        made.mount()
        yield made
    finally:
        made.remove()


@contextmanager
def disk_smaller_than_it_says(directory: Path) -> Iterator[Disk]:
    """Yield a disk of 64 MB whose device has only 12: writes fail late."""
    thin = directory / "thin"
    with tmpfs(thin, "12m"):
        made = Disk(thin / "image", directory / "disk")
        try:
            made.make(64, "-E", "lazy_itable_init=1,nodiscard", "-O", "^has_journal")
            made.mount()
            yield made
        finally:
            made.remove()


@contextmanager
def tmpfs(path: Path, size: str, *options: str) -> Iterator[Path]:
    """Yield a RAM disk of this size."""
    path.mkdir()
    chosen = ",".join([f"size={size}", *options])
    run("mount", "-t", "tmpfs", "-o", chosen, "tmpfs", str(path))
    try:
        yield path
    finally:
        run("umount", "--lazy", str(path))
