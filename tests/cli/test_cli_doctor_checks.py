"""What ``sharray doctor`` decides, from made-up facts about other machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sharray.cli.commands.doctor import memory, place, quotas, ram, software
from sharray.cli.commands.doctor.facts import (
    MemoryFacts,
    Quotas,
    RamDirectory,
    Software,
)
from sharray.cli.commands.doctor.finding import Finding, Verdict, worst
from sharray.cli.commands.doctor.host import Host
from sharray.cli.commands.doctor.probes import Contents, Locks, Package
from sharray.cli.commands.doctor.trial import Trial
from sharray.system.limits import GroupLimit, HugePages, Limit, Memory
from sharray.system.mounts import FileSystem

OK, NOTE, WARNING, FAULT = Verdict
MB, GB = 1 << 20, 1 << 30

ROOT = Host(is_root=True, may_administer=True, container=None, in_slurm=False)
USER = Host(is_root=False, may_administer=False, container=None, in_slurm=False)
DOCKER = replace(USER, is_root=True, container="docker")

SHM = FileSystem(
    "tmpfs", "/dev/shm", ("rw", "huge=within_size"), 8 * GB, 7 * GB, 10**6, 999_000
)
MEMORY = MemoryFacts(
    Memory(16 * GB, 14 * GB, 2 * GB, 10 * GB, 3 * GB, 0),
    None,
    HugePages("madvise", "never", 2 * MB),
)
RAM = RamDirectory(
    chosen="",
    path="/dev/shm/sharray-1000",
    parent="/dev/shm",
    exists=True,
    is_ours=True,
    mode=0o700,
    fault=None,
    file_system=SHM,
    locks=Locks.WORK,
    contents=Contents(),
    other_place="",
)
NO_LIMIT = Limit(None, None)
QUOTAS = Quotas(
    keeps_descriptors=True,
    files=Limit(65536, 65536),
    system_files=(1000, 10**6),
    mappings=65530,
    address_space=NO_LIMIT,
    file_size=NO_LIMIT,
    tasks=NO_LIMIT,
    tasks_used=100,
    task_group=None,
    cores=8,
    cores_present=8,
    hidden_processes=None,
)
SOFTWARE = Software(
    "Linux",
    "6.8.0",
    "x86_64",
    (),
    "CPython",
    (3, 13, 1),
    (
        Package("numpy", "2.2.0", ">=2.0", True, None),
        Package("numba", "0.62.0", "<0.69,>=0.61", True, None),
    ),
)


def says(finding: Finding, verdict: Verdict, text: str = "", *commands: str) -> None:
    assert finding.verdict is verdict, finding
    assert text in f"{finding.found} {finding.why}", finding
    assert finding.commands == commands, finding


def everything_ok() -> list[Finding]:
    return [
        *software.check_software(SOFTWARE),
        *ram.check_ram(RAM, MEMORY, USER),
        *memory.check_memory(MEMORY, SHM, USER),
        *quotas.check_quotas(QUOTAS, USER, can_see=True),
    ]


def test_a_usual_machine_has_nothing_to_change() -> None:
    findings = everything_ok()
    assert [found for found in findings if found.verdict is not OK] == []
    assert all(not found.commands for found in findings)
    assert worst(findings) is OK


def test_each_check_has_its_name_and_whole_sentences() -> None:
    findings = everything_ok()
    names = [found.name for found in findings]
    assert len(set(names)) == len(names)
    for found in findings:
        for sentence in (found.found, found.why):
            assert sentence.endswith("."), sentence
            assert ".." not in sentence, sentence


# -- system ------------------------------------------------------------------


def test_what_is_lost_without_a_system_call() -> None:
    one = replace(SOFTWARE, missing_calls=("pidfd_open",))
    says(software.check_calls(one), NOTE, "0.2 s late")
    both = replace(SOFTWARE, missing_calls=("pidfd_open", "F_OFD_SETLK"))
    says(software.check_calls(both), WARNING, "sharray.install() is not possible")
    gone = replace(SOFTWARE, missing_calls=("memfd_create",))
    says(software.check_calls(gone), FAULT, "Missing: memfd_create.")


def test_another_system_or_python_is_a_warning() -> None:
    says(software.check_system(replace(SOFTWARE, system="FreeBSD")), WARNING)
    says(software.check_python(replace(SOFTWARE, implementation="PyPy")), WARNING)


@pytest.mark.parametrize(
    ("python", "text"), [((3, 12, 9), "keeps a file"), ((3, 13, 0), "needs no file")]
)
def test_python_tells_whether_arrays_keep_descriptors(
    python: tuple[int, int, int], text: str
) -> None:
    says(software.check_python(replace(SOFTWARE, python=python)), OK, text)


def test_a_package_that_does_not_fit() -> None:
    numba = SOFTWARE.packages[1]
    install = "python -m pip install 'numba<0.69,>=0.61'"
    newer = numba._replace(version="0.70.0", is_wanted=False)
    says(software.check_package(newer), WARNING, "numba 0.70.0, expected", install)
    fault = "ImportError: Numba needs NumPy 2.3 or less. Got NumPy 2.9."
    broken = numba._replace(fault=fault)
    says(software.check_package(broken), FAULT, fault, install)
    absent = numba._replace(version=None, fault="ModuleNotFoundError: numba")
    says(software.check_package(absent), FAULT, "not installed", install)


# -- the directory for arrays in RAM -----------------------------------------


def room(system: FileSystem, facts: MemoryFacts = MEMORY, host: Host = USER) -> Finding:
    return ram.check_room(system, facts, host)


def test_dockers_default_is_a_warning_with_dockers_option() -> None:
    small = SHM._replace(size=64 * MB, free=60 * MB)
    start = "docker run --shm-size=8192m ..."
    says(room(small, host=DOCKER), WARNING, "64 MiB is the default", start)
    podman = replace(DOCKER, container="podman")
    start = "podman run --shm-size=8192m ..."
    says(room(small, host=podman), WARNING, "", start)
    pod = replace(DOCKER, container="kubernetes")
    says(room(small, host=pod), WARNING, "emptyDir with medium Memory")


def test_a_privileged_container_can_change_it_itself() -> None:
    small = SHM._replace(size=64 * MB, free=60 * MB)
    host = replace(DOCKER, may_administer=True)
    change = "mount -o remount,size=8192M /dev/shm"
    says(room(small, host=host), WARNING, "", change)


def test_more_room_is_no_more_than_half_of_the_memory_limit() -> None:
    small = SHM._replace(size=64 * MB, free=60 * MB)
    limited = replace(MEMORY, group=GroupLimit(4 * GB, MB, "/sys/x/memory.max"))
    start = "docker run --shm-size=2048m ..."
    says(room(small, limited, DOCKER), WARNING, "", start)


def test_a_small_directory_outside_of_a_container_is_remounted() -> None:
    small = SHM._replace(size=GB, free=GB)
    change = "mount -o remount,size=8192M /dev/shm  # until a restart; for good in "
    says(room(small, host=ROOT), WARNING, "", f"{change}/etc/fstab")
    says(room(small, host=USER), WARNING, "", f"sudo {change}/etc/fstab")


def test_a_directory_that_is_full_or_nearly() -> None:
    full = room(SHM._replace(free=0))
    assert full.verdict is FAULT
    assert full.commands[0] == "sharray gc"
    nearly = room(SHM._replace(free=GB // 2))
    says(nearly, WARNING, "512.0 MiB are free", "sharray gc", "sharray ls")


def test_a_directory_as_large_as_memory_is_a_note() -> None:
    # 16 GiB and 2 GiB of swap.
    assert room(SHM._replace(size=18 * GB, free=17 * GB)).verdict is NOTE
    assert room(SHM._replace(size=15 * GB, free=14 * GB)).verdict is OK
    assert room(SHM._replace(size=None)).verdict is NOTE


def test_a_disk_may_be_larger_than_memory() -> None:
    disk = SHM._replace(kind="ext4", size=900 * GB, free=500 * GB)
    says(room(disk), OK)


def test_few_files_left() -> None:
    def found(free: int) -> Finding:
        return ram.check_files(SHM._replace(inodes=5000, free_inodes=free), DOCKER)

    assert found(1000).verdict is OK
    assert found(999).verdict is WARNING
    assert found(0).verdict is FAULT
    unlimited = SHM._replace(inodes=None, free_inodes=None)
    says(ram.check_files(unlimited, USER), OK, "does not limit")
    few = SHM._replace(inodes=5000, free_inodes=3, point="/mnt/a b")
    change = "mount -o remount,nr_inodes=20000 '/mnt/a b'  # until a restart; for good"
    says(ram.check_files(few, ROOT), WARNING, "3 of 5000", f"{change} in /etc/fstab")


def test_a_directory_that_cannot_be_used() -> None:
    open_to_all = replace(RAM, mode=0o777, fault="others may write to it (mode 0777)")
    change = "chmod 700 /dev/shm/sharray-1000"
    says(ram.check_directory(open_to_all), FAULT, "mode 0777", change)
    stranger = replace(open_to_all, is_ours=False, fault="it belongs to user 7")
    elsewhere = "mkdir -p -m 700 ~/ram && export SHARRAY_RAM_DIR=~/ram  # on a disk"
    says(ram.check_directory(stranger), FAULT, "user 7", elsewhere)
    logged_in = replace(stranger, other_place="/run/user/1000")
    elsewhere = "export SHARRAY_RAM_DIR=/run/user/1000"
    says(ram.check_directory(logged_in), FAULT, "user 7", elsewhere)
    chosen = replace(stranger, chosen="/x")
    says(ram.check_directory(chosen), FAULT, "", "unset SHARRAY_RAM_DIR")


def test_a_directory_that_others_may_list_is_a_note() -> None:
    change = "chmod 700 /dev/shm/sharray-1000"
    says(ram.check_directory(replace(RAM, mode=0o755)), NOTE, "0755", change)


def test_a_disk_in_place_of_ram_is_a_warning() -> None:
    disk = SHM._replace(kind="ext4", point="/")
    says(ram.check_kind(RAM, disk, USER), WARNING, "ext4")
    chosen = replace(RAM, chosen="/tmp", parent="/tmp")
    says(ram.check_kind(chosen, disk, USER), WARNING, "disk", "unset SHARRAY_RAM_DIR")
    says(ram.check_kind(RAM, SHM._replace(kind=""), USER), NOTE, "unknown type")


def test_without_locks_arrays_in_use_would_be_removed() -> None:
    for locks in (Locks.MISSING, Locks.FAIL):
        finding = ram.check_locks(replace(RAM, locks=locks))
        says(finding, FAULT, f"/dev/shm {locks.value}.")


def test_what_killed_processes_left_is_counted() -> None:
    has = Contents(2, 3 * MB, 1, 1, 5 * MB, 2, 4096)
    finding = ram.check_contents(replace(RAM, contents=has))
    says(finding, NOTE, "2 named arrays (3.0 MiB, 1 in use); 1 anonymous", "sharray gc")
    assert "1 anonymous array (5.0 MiB) that nobody holds" in finding.found
    assert "2 unfinished files (4.0 KiB)." in finding.found


# -- memory ------------------------------------------------------------------


def group(limit: int, used: int = 0, file: str = "/sys/x/memory.max") -> MemoryFacts:
    return replace(MEMORY, group=GroupLimit(limit, used, file))


def test_a_memory_limit_below_the_ram_directory_is_a_warning() -> None:
    def found(facts: MemoryFacts, host: Host = USER) -> Finding:
        return memory.check_group(facts, SHM, host)

    says(found(group(8 * GB)), OK, "8.0 GiB, of which 0 B are used")
    says(found(group(64 * GB)), OK, "No control group")  # more than there is
    change = "echo 12288M | sudo tee /sys/x/memory.max"
    says(found(group(4 * GB)), WARNING, "kills a process (OOM)", change)
    service = group(4 * GB, file="/sys/fs/cgroup/a.slice/job.service/memory.max")
    change = "systemctl set-property job.service MemoryMax=12288M"
    says(found(service, ROOT), WARNING, "", change)
    start = "docker run --memory=12288m ..."
    says(found(group(4 * GB), DOCKER), WARNING, "", start)
    job = replace(USER, in_slurm=True)
    starts = ("sbatch --mem=12288M ...", "srun --mem=12288M ...")
    says(found(group(4 * GB), job), WARNING, "", *starts)


def test_a_memory_limit_that_is_nearly_used_up_is_a_warning() -> None:
    finding = memory.check_group(group(10 * GB, 9 * GB + MB), SHM, DOCKER)
    says(finding, WARNING, "9.0 GiB are used", "docker run --memory=15360m ...")


def test_promises_that_the_kernel_must_keep_limit_arrays() -> None:
    strict = replace(MEMORY, memory=MEMORY.memory._replace(overcommit=2))
    change = "sysctl -w vm.overcommit_memory=0"
    for_good = "echo vm.overcommit_memory=0 | tee -a /etc/sysctl.d/60-sharray.conf"
    finding = memory.check_available(strict, SHM._replace(free=8 * GB), ROOT)
    says(finding, WARNING, "leaves 7.0 GiB", change, for_good)
    says(memory.check_available(strict, SHM._replace(free=6 * GB), ROOT), OK)


def test_little_memory_left_is_a_warning() -> None:
    scarce = replace(MEMORY, memory=MEMORY.memory._replace(available=GB))
    says(memory.check_available(scarce, SHM, USER), WARNING, "1.0 GiB of 16.0 GiB")
    unknown = replace(MEMORY, memory=None)
    says(memory.check_available(unknown, SHM, USER), NOTE, "does not tell")


@pytest.mark.parametrize(
    ("option", "shmem", "verdict"),
    [
        ("huge=always", "never", OK),
        ("huge=within_size", "advise", OK),
        ("huge=advise", "never", NOTE),
        ("huge=never", "always", NOTE),
        ("rw", "within_size", NOTE),
        ("rw", "force", OK),
        ("huge=always", "deny", NOTE),
    ],
)
def test_huge_pages_depend_on_the_mount_unless_forced_or_denied(
    option: str, shmem: str, verdict: Verdict
) -> None:
    facts = replace(MEMORY, huge=HugePages("madvise", shmem, 2 * MB))
    system = SHM._replace(options=("rw", option), point="/run/x")
    finding = memory.check_huge_pages(facts, system, ROOT)
    change = "mount -o remount,huge=within_size /run/x  # until a restart; for good in "
    allow = "echo never | tee /sys/kernel/mm/transparent_hugepage/shmem_enabled"
    commands = () if verdict is OK else (f"{change}/etc/fstab",)
    if shmem == "deny":
        commands = (allow,)
    says(finding, verdict, f"shmem_enabled is {shmem}", *commands)
    confined = memory.check_huge_pages(facts, system, DOCKER)
    says(confined, verdict)


def test_huge_pages_that_the_kernel_has_not() -> None:
    facts = replace(MEMORY, huge=HugePages(None, None, 0))
    says(memory.check_huge_pages(facts, SHM, USER), OK, "has none")


# -- limits of processes -----------------------------------------------------


def test_few_open_files_limit_arrays_up_to_python_3_12() -> None:
    def found(soft: int, hard: int | None, keeps: bool = True) -> Finding:
        limit = Limit(soft, hard)
        facts = replace(QUOTAS, files=limit, keeps_descriptors=keeps)
        return quotas.check_files(facts, USER)

    says(found(1024, 524288), NOTE, "about 954 arrays", "ulimit -n 65536")
    says(found(1024, 4096), NOTE, "4096 if asked for", "ulimit -n 4096")
    says(found(1024, 524288, keeps=False), OK, "1024, and 524288")
    says(found(100, None), WARNING, "no limit if asked", "ulimit -n 65536")
    says(found(100, 200, keeps=False), WARNING, "", "ulimit -n 200")
    line = 'echo "$USER - nofile 65536" | sudo tee /etc/security/limits.d/sharray.conf'
    says(found(1024, 1024), NOTE, "", f"{line}  # then log in again")
    stuck = replace(QUOTAS, files=Limit(1024, 1024))
    start = "docker run --ulimit nofile=65536 ..."
    says(quotas.check_files(stuck, DOCKER), NOTE, "", start)


def test_a_system_with_too_many_open_files_is_a_warning() -> None:
    facts = replace(QUOTAS, system_files=(950, 1000))
    finding = quotas.check_files(facts, DOCKER)
    change = "sudo sysctl -w fs.file-max=2000  # on the host of the container"
    says(finding, WARNING, "950 of at most 1000", change)


def test_few_mappings() -> None:
    def found(most: int | None) -> Finding:
        return quotas.check_mappings(replace(QUOTAS, mappings=most), USER)

    assert found(65530).verdict is OK
    assert found(None).verdict is OK
    assert found(30000).verdict is NOTE
    change = "sudo sysctl -w vm.max_map_count=65530"
    name = "/etc/sysctl.d/60-sharray.conf"
    for_good = f"echo vm.max_map_count=65530 | sudo tee -a {name}"
    says(found(3000), WARNING, "3000", change, for_good)


def test_limits_on_sizes_are_warnings() -> None:
    def found(limit: Limit) -> Finding:
        return quotas.check_size("file size", limit, "Why.", "-f")

    says(found(NO_LIMIT), OK, "No limit.")
    says(found(Limit(MB, None)), WARNING, "1.0 MiB; no limit", "ulimit -f unlimited")
    says(found(Limit(MB, 2 * MB)), WARNING, "1.0 MiB; 2.0 MiB", "ulimit -f 2048")
    says(found(Limit(MB, MB)), WARNING, "Only the administrator")


def test_few_processes_are_a_warning() -> None:
    def found(host: Host = USER, **changes: object) -> Finding:
        return quotas.check_tasks(replace(QUOTAS, **changes), host)

    soft = {"tasks": Limit(120, 4000)}
    says(found(**soft), WARNING, "100 of 120 of this user", "ulimit -u 4000")
    says(found(ROOT, **soft), OK, "No limit.")  # root is exempt
    says(found(tasks=Limit(4000, 4000)), OK)
    full = {"task_group": GroupLimit(64, 50, "/sys/x/pids.max")}
    start = "docker run --pids-limit=-1 ..."
    says(found(DOCKER, **full), WARNING, "50 of 64 of its control", start)
    says(found(DOCKER, task_group=GroupLimit(9000, 50, "")), OK)


def test_cores_are_those_that_may_be_used() -> None:
    says(quotas.check_cores(replace(QUOTAS, cores=1)), OK, "1 core of 8")


def test_processes_that_cannot_be_seen() -> None:
    says(quotas.check_view(QUOTAS, USER, can_see=False), NOTE, "cannot be read")
    hidden = replace(QUOTAS, hidden_processes="2")
    says(quotas.check_view(hidden, USER, can_see=True), OK, "hidepid=2")
    says(quotas.check_view(hidden, ROOT, can_see=True), OK, "Those of all users")
    says(quotas.check_view(QUOTAS, USER, can_see=None), OK, "Not tried")


# -- a directory on a disk ---------------------------------------------------


DISK = FileSystem("ext4", "/", ("rw", "relatime"), 100 * GB, 50 * GB, 10**6, 10**5)


def at(kind: str, *options: str) -> place.Place:
    system = DISK._replace(kind=kind, options=("rw", *options))
    return place.Place("/data", system, None, Locks.WORK, Trial(None, 0.3, True))


@pytest.mark.parametrize(
    ("kind", "verdict", "text"),
    [
        ("ext4", OK, "local"),
        ("xfs", OK, "local"),
        ("nfs4", NOTE, "some time after a flush"),
        ("lustre", NOTE, "flock or localflock"),
        ("overlay", NOTE, "of a container"),
        ("fuse.sshfs", WARNING, "a program serves it"),
        ("fuseblk", WARNING, "a program serves it"),
        ("cifs", WARNING, "cache="),
        ("9p", WARNING, "cache=mmap"),
    ],
)
def test_what_a_file_system_means_for_sharing(
    kind: str, verdict: Verdict, text: str
) -> None:
    findings = place.check_place(at(kind))
    says(findings[0], verdict, text)
    assert worst(findings[1:]) is OK


def test_mounts_that_forget_what_is_flushed() -> None:
    for kind, option in (("ext4", "nobarrier"), ("overlay", "volatile")):
        says(place.check_place(at(kind, option))[1], WARNING, f"with {option}")
    says(place.check_place(at("tmpfs"))[1], NOTE, "a restart loses all")


def test_room_on_a_disk() -> None:
    def found(**changes: object) -> Finding:
        return place.check_room(DISK._replace(**changes))

    says(found(), OK, "50.0 GiB of 100.0 GiB")
    says(found(free=GB), WARNING)
    says(found(free=1000), FAULT)
    says(found(free_inodes=0), FAULT, "no inodes")
    says(found(options=("ro",)), FAULT, "read-only")


def test_a_disk_without_locks_or_that_fails_the_trial() -> None:
    missing = replace(at("lustre", "x"), locks=Locks.MISSING)
    says(place.check_place(missing)[3], WARNING, "are not offered")
    failed = replace(at("fuse.x"), trial=Trial("not seen here", 0.1, None))
    says(place.check_place(failed)[4], FAULT, "not seen here.")
    denied = place.Place("/data", DISK, "Permission denied", None, None)
    says(place.check_place(denied)[-1], FAULT, "Permission denied.")
