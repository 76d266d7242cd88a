"""The verdicts of ``sharray doctor`` for made-up facts about other machines."""

from __future__ import annotations

import os

import pytest
from packaging.requirements import Requirement

from sharray.cli.commands.doctor import (
    Finding,
    Verdict,
    calls,
    directory,
    ram,
    resources,
    versions,
)
from sharray.system.limits import GroupLimit, HugePages, Limit, Memory
from sharray.system.mounts import FileSystem

OK, NOTE, WARNING, FAULT = Verdict
MB, GB = 1 << 20, 1 << 30

SHM = FileSystem("tmpfs", "/dev/shm", ("rw", "huge=within_size"), 8 * GB, 7 * GB, 999)
DISK = FileSystem("ext4", "/", ("rw", "relatime"), 100 * GB, 50 * GB, 10**5)
MEMORY = Memory(16 * GB, 14 * GB, 2 * GB)
PATH = "/dev/shm/sharray-1000"
NUMBA = Requirement("numba<0.69,>=0.61")


@pytest.fixture(autouse=True)
def _is_no_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def says(finding: Finding, verdict: Verdict, text: str = "", *commands: str) -> None:
    assert finding.verdict is verdict, finding
    assert text in f"{finding.found} {finding.why}", finding
    assert finding.commands == commands, finding


def test_a_usual_machine_has_nothing_to_change() -> None:
    findings = [
        versions.check_tested("sharray", "1.0, on Linux.", True),
        versions.check_package(NUMBA, "0.62.0", None),
        ram_directory(),
        ram.check_ram_room(SHM, MEMORY, None),
        ram.check_huge_pages(SHM, HugePages("never", 2 * MB), True),
        calls.check_calls("calls in RAM", ()),
        resources.check_memory(MEMORY),
        resources.check_memory_limit(None, MEMORY),
        resources.check_open_files(Limit(65536, 65536)),
        directory.check_file_system("/data", DISK),
        directory.check_room("free space", DISK),
    ]
    for found in findings:
        assert found.verdict is OK, found
        assert not found.commands
        for sentence in (found.found, found.why):
            assert sentence.endswith("."), sentence
            assert ".." not in sentence, sentence


# -- versions ----------------------------------------------------------------


def test_a_system_without_tests_is_a_warning() -> None:
    says(versions.check_tested("Python", "PyPy 3.11.", False), WARNING, "PyPy")


def test_a_package_that_does_not_fit() -> None:
    install = "python -m pip install 'numba<0.69,>=0.61'"
    newer = versions.check_package(NUMBA, "0.70.0", None)
    says(newer, WARNING, "0.70.0, expected numba<0.69,>=0.61.", install)
    fault = "ImportError: Numba needs NumPy 2.3 or less. Got NumPy 2.9."
    broken = versions.check_package(NUMBA, "", fault)
    says(broken, FAULT, f"numba cannot be imported: {fault}", install)
    assert versions.check_package(NUMBA, "0.69.0rc1", None).verdict is WARNING
    assert versions.check_package(NUMBA, "0.68.0rc1", None).verdict is OK


# -- the directory for arrays in RAM -----------------------------------------


def ram_directory(
    mode: int = 0o700,
    fault: str | None = None,
    kind: str = "tmpfs",
    is_chosen: bool = False,
) -> Finding:
    return ram.check_ram_directory(PATH, mode, fault, kind, is_chosen=is_chosen)


def test_a_directory_that_cannot_be_used() -> None:
    fault = "cannot keep arrays: others may write to it (mode 0777)"
    says(ram_directory(0o777, fault), FAULT, "mode 0777", f"chmod 700 {PATH}")
    elsewhere = "mkdir -p -m 700 ~/ram && export SHARRAY_RAM_DIR=~/ram"
    says(ram_directory(0o777, "it belongs to user 7"), FAULT, "user 7", elsewhere)
    chosen = ram_directory(fault="it belongs to user 7", is_chosen=True)
    says(chosen, FAULT, "", "unset SHARRAY_RAM_DIR")


def test_a_directory_that_others_may_list_is_a_note() -> None:
    says(ram_directory(0o755), NOTE, "0755", f"chmod 700 {PATH}")


def test_a_disk_in_place_of_ram_is_a_warning() -> None:
    says(ram_directory(kind="ext4"), WARNING, "on ext4")
    chosen = ram_directory(kind="ext4", is_chosen=True)
    says(chosen, WARNING, "disk", "unset SHARRAY_RAM_DIR")
    says(ram_directory(kind=""), OK, "unknown file system")


def room(group: GroupLimit | None = None, **changes: object) -> Finding:
    return ram.check_ram_room(SHM._replace(**changes), MEMORY, group)


def resize(megabytes: int) -> tuple[str, str]:
    """Return the commands that change the size."""
    return (
        f"sudo mount -o remount,size={megabytes}M /dev/shm  # until a reboot",
        f"docker run --shm-size={megabytes}m ...  # in a container",
    )


def test_dockers_default_is_a_warning() -> None:
    says(room(size=64 * MB, free=60 * MB), WARNING, "of 64.0 MiB", *resize(8192))


def test_more_room_is_no_more_than_half_of_the_memory_limit() -> None:
    group = GroupLimit(4 * GB, MB, "/sys/x/memory.max")
    says(room(group, size=64 * MB, free=60 * MB), WARNING, "", *resize(2048))


def test_more_room_than_the_memory_limit_is_a_warning() -> None:
    group = GroupLimit(4 * GB, MB, "/sys/x/memory.max")
    says(room(group), WARNING, "kills a process (OOM)", *resize(2048))
    assert room(GroupLimit(64 * GB, MB, "")).verdict is OK  # more than there is


def test_an_administrator_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    change, _ = room(size=GB, free=GB).commands
    assert change == "mount -o remount,size=8192M /dev/shm  # until a reboot"


def test_a_directory_that_is_full_or_nearly() -> None:
    for changes in ({"free": 0}, {"free_inodes": 0}):
        says(room(**changes), FAULT, "", "sharray gc", "sharray ls")
    says(room(free=GB // 4), WARNING, "256.0 MiB of", "sharray gc", "sharray ls")
    change = "sudo mount -o remount,rw '/mnt/a b'  # until a reboot"
    says(room(options=("ro",), point="/mnt/a b"), FAULT, "read-only", change)


def test_a_directory_as_large_as_memory_is_a_note() -> None:
    assert room(size=16 * GB, free=15 * GB).verdict is NOTE
    assert room(size=14 * GB, free=14 * GB).verdict is OK
    assert room(size=None).verdict is NOTE


def test_a_disk_may_be_larger_than_memory() -> None:
    says(room(kind="ext4", size=900 * GB, free=500 * GB), OK)


@pytest.mark.parametrize(
    ("option", "shmem", "works", "verdict"),
    [
        ("huge=never", "never", True, OK),
        ("huge=always", "never", False, OK),
        ("huge=within_size", "advise", False, OK),
        ("huge=advise", "never", False, NOTE),
        ("huge=never", "always", False, NOTE),
        ("rw", "within_size", False, NOTE),
        ("rw", "force", False, OK),
        ("huge=always", "deny", False, NOTE),
    ],
)
def test_without_the_system_call_huge_pages_depend_on_the_mount(
    option: str, shmem: str, works: bool, verdict: Verdict
) -> None:
    system = SHM._replace(options=("rw", option), point="/run/x")
    finding = ram.check_huge_pages(system, HugePages(shmem, 2 * MB), works)
    change = "sudo mount -o remount,huge=within_size /run/x  # until a reboot"
    commands = () if verdict is OK else (change,)
    if shmem == "deny":
        path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
        commands = (f"echo never | sudo tee {path}",)
    words = "4.0 MiB and more" if verdict is OK else f"shmem_enabled is {shmem}"
    says(finding, verdict, words, *commands)


def test_huge_pages_that_the_kernel_has_not() -> None:
    says(ram.check_huge_pages(SHM, HugePages(None, 0), False), OK, "Not used")


# -- memory and open files ---------------------------------------------------


def test_a_memory_limit_that_is_nearly_used_up_is_a_warning() -> None:
    group = GroupLimit(10 * GB, GB, "/sys/a b/memory.max")
    says(resources.check_memory_limit(group, MEMORY), OK, "1.0 GiB of 10.0 GiB")
    large = group._replace(limit=64 * GB)
    says(resources.check_memory_limit(large, MEMORY), OK, "No control group")
    full = group._replace(used=9 * GB + MB)
    says(
        resources.check_memory_limit(full, MEMORY),
        WARNING,
        "kills a process (OOM)",
        "sbatch --mem=15360M ...  # in a Slurm job",
        "docker run --memory=15360m ...  # in a container",
        "echo 15360M | sudo tee '/sys/a b/memory.max'  # elsewhere",
    )


def test_little_memory_left_is_a_warning() -> None:
    scarce = MEMORY._replace(available=GB)
    says(resources.check_memory(scarce), WARNING, "1.0 GiB of 16.0 GiB")
    says(resources.check_memory(None), NOTE, "does not tell")


def test_few_open_files_limit_messages() -> None:
    def found(soft: int | None, hard: int | None) -> Finding:
        return resources.check_open_files(Limit(soft, hard))

    says(found(1024, 524288), OK, "At most 1024 in a process.")
    says(found(100, None), WARNING, "At most 100", "ulimit -n 65536")
    says(found(100, 200), WARNING, "", "ulimit -n 200")
    says(found(None, None), OK, "No limit.")
    line = 'echo "$USER - nofile 65536" | sudo tee /etc/security/limits.d/sharray.conf'
    says(found(100, 100), WARNING, "", f"{line}  # then log in again")


# -- a directory on a disk ---------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "verdict", "text"),
    [
        ("ext4", OK, "see the same memory"),
        ("xfs", OK, "see the same memory"),
        ("tmpfs", NOTE, "A reboot loses everything"),
        ("nfs4", NOTE, "see changes late"),
        ("overlay", NOTE, "a container"),
        ("fuse.sshfs", WARNING, "its server and options"),
        ("fuseblk", WARNING, "its server and options"),
        ("9p", WARNING, "cache=mmap"),
        ("", OK, "an unknown type"),
    ],
)
def test_what_a_file_system_means_for_sharing(
    kind: str, verdict: Verdict, text: str
) -> None:
    system = DISK._replace(kind=kind)
    says(directory.check_file_system("/data", system), verdict, text)


def test_mounts_that_forget_what_is_flushed() -> None:
    for kind, option in (("ext4", "nobarrier"), ("overlay", "volatile")):
        system = DISK._replace(kind=kind, options=("rw", option))
        finding = directory.check_file_system("/data", system)
        says(finding, WARNING, f"mounted with {option}. A power cut")


def test_room_on_a_disk() -> None:
    def found(**changes: object) -> Finding:
        return directory.check_room("free space", DISK._replace(**changes))

    says(found(), OK, "50.0 GiB of 100.0 GiB")
    says(found(free=GB), WARNING)
    says(found(free=1000), FAULT)
    says(found(free_inodes=0), FAULT, "no inodes")
    says(found(options=("ro",)), FAULT, "read-only")
    says(found(size=None, free=0), OK, "no limit")


def test_a_disk_without_locks_is_a_warning() -> None:
    finding = calls.check_calls("calls there", ("fchmod", "flock"))
    says(finding, WARNING, "lacks fchmod, flock. Arrays work, but the file system")
    assert finding.why.endswith("in use: rm needs --force.")
