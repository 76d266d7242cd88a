"""Limits that `sharray.system` reports, compared with other programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import disks
import pytest
from repository import ROOT
from workers import start_python

from sharray.system import limits, mounts

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")


def df(directory: object, column: str) -> str:
    shown = disks.run("df", "-B1", f"--output={column}", str(directory))
    return shown.splitlines()[1].strip()


# -- file systems ------------------------------------------------------------


@pytest.mark.parametrize("directory", ["/dev/shm", ".", "/proc"])
def test_a_file_system_is_the_one_that_df_tells(directory: str) -> None:
    found = mounts.file_system(directory)
    assert found.kind == df(directory, "fstype")
    assert found.point == df(directory, "target")
    assert (found.size or 0) == int(df(directory, "size"))


@needs_root
def test_a_small_tmpfs_is_described_to_the_byte(tmp_path: Path) -> None:
    place = tmp_path / "a b\tc"  # which the table of mounts has to escape
    with disks.tmpfs(place, "3m", "nr_inodes=50", "huge=within_size"):
        (place / "file").write_bytes(bytes(1 << 20))
        found = mounts.file_system(str(place))
        assert (found.kind, found.point) == ("tmpfs", str(place))
        assert found.size == 3 << 20
        assert found.free == int(df(place, "avail")) == 2 << 20
        assert found.free_inodes == int(df(place, "iavail"))
        assert {"rw", "huge=within_size", "nr_inodes=50"} <= set(found.options)


@needs_root
def test_a_tmpfs_without_limits_has_none(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "ram", "0", "nr_inodes=0") as place:
        found = mounts.file_system(str(place))
    assert (found.size, found.free_inodes) == (None, None)


@needs_root
def test_of_two_mounts_at_a_place_the_later_is_seen(tmp_path: Path) -> None:
    place = tmp_path / "ram"
    with disks.tmpfs(place, "1m"):
        disks.run("mount", "-t", "tmpfs", "-o", "size=2m,ro", "upper", str(place))
        try:
            found = mounts.file_system(str(place))
            assert found.size == 2 << 20
            assert "ro" in found.options
        finally:
            disks.run("umount", str(place))


def test_a_neighbour_with_a_longer_name_is_not_the_mount(tmp_path: Path) -> None:
    table = [mounts.Mount("/", str(tmp_path), "ext4", "", ())]
    table.append(mounts.Mount("/", f"{tmp_path}/ram", "tmpfs", "", ()))
    below = mounts.mount_of(f"{tmp_path}/ram/x", table)
    beside = mounts.mount_of(f"{tmp_path}/ramp", table)
    assert below is not None
    assert beside is not None
    assert (below.kind, beside.kind) == ("tmpfs", "ext4")
    assert mounts.mount_of("/elsewhere", table) is None


# -- memory and control groups -----------------------------------------------


def test_memory_is_what_free_tells() -> None:
    found = limits.memory()
    assert found is not None
    rows = disks.run("free", "-b").splitlines()
    assert found.total == int(rows[1].split()[1])
    assert found.swap == int(rows[2].split()[1])
    assert 0 < found.available <= found.total


def test_memory_is_unknown_without_proc(tmp_path: Path) -> None:
    assert limits.memory(str(tmp_path)) is None


class Groups:
    """A fake /proc/self, and fake control groups below a directory."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self.proc = str(at / "proc")
        (at / "proc/self").mkdir(parents=True)
        self._lines: list[str] = []
        self._mounts: list[str] = []

    def belong(self, line: str) -> None:
        self._lines.append(line)
        Path(self.proc, "self/cgroup").write_text("\n".join(self._lines))

    def mount(self, point: str, root: str, kind: str, options: str = "rw") -> None:
        number = len(self._mounts) + 30
        self._mounts.append(
            f"{number} 1 0:{number} {root} {self.at}/{point} rw,relatime shared:5 - "
            f"{kind} {kind} {options}"
        )
        Path(self.proc, "self/mountinfo").write_text("\n".join(self._mounts))

    def write(self, path: str, content: object) -> None:
        file = self.at / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    def memory(self) -> tuple[int, int, str] | None:
        found = limits.memory_limit(self.proc)
        return found and (
            found.limit,
            found.used,
            os.path.relpath(found.file, self.at),
        )


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


def test_no_control_groups_limit_nothing(groups: Groups) -> None:
    assert groups.memory() is None


def test_a_group_above_can_be_the_tightest(groups: Groups) -> None:
    groups.belong("0::/user.slice/job.scope")
    groups.mount("cg", "/", "cgroup2")
    groups.write("cg/user.slice/job.scope/memory.max", 9000)
    groups.write("cg/user.slice/job.scope/memory.current", 10)
    groups.write("cg/user.slice/memory.max", 5000)
    groups.write("cg/user.slice/memory.current", 300)
    assert groups.memory() == (5000, 300, "cg/user.slice/memory.max")
    groups.write("cg/user.slice/memory.max", "max")
    assert groups.memory() == (9000, 10, "cg/user.slice/job.scope/memory.max")
    groups.write("cg/user.slice/job.scope/memory.max", "max")
    assert groups.memory() is None


def test_a_container_sees_its_own_group_as_the_root(groups: Groups) -> None:
    groups.belong("0::/")
    groups.mount("cg", "/", "cgroup2")
    groups.write("cg/memory.max", 7000)
    groups.write("cg/memory.current", 1)
    assert groups.memory() == (7000, 1, "cg/memory.max")


def test_version_1_in_a_container_mounts_the_middle_of_the_tree(
    groups: Groups,
) -> None:
    groups.belong("5:cpu,cpuacct:/docker/abc")
    groups.belong("4:memory:/docker/abc")
    groups.mount("cpu", "/docker/abc", "cgroup", "rw,cpu,cpuacct")
    groups.mount("memory", "/docker/abc", "cgroup", "rw,memory")
    groups.write("memory/memory.limit_in_bytes", 6000)
    groups.write("memory/memory.usage_in_bytes", 2)
    assert groups.memory() == (6000, 2, "memory/memory.limit_in_bytes")


def test_version_1_writes_a_huge_number_for_no_limit(groups: Groups) -> None:
    groups.belong("4:memory:/a")
    groups.mount("memory", "/", "cgroup", "rw,memory")
    groups.write("memory/a/memory.limit_in_bytes", 9223372036854771712)
    groups.write("memory/memory.limit_in_bytes", 9223372036854771712)
    assert groups.memory() is None
    groups.write("memory/memory.limit_in_bytes", 123456)
    assert groups.memory() == (123456, 0, "memory/memory.limit_in_bytes")


def test_both_versions_at_once(groups: Groups) -> None:
    groups.belong("4:memory:/a")
    groups.belong("0::/b")
    groups.mount("memory", "/", "cgroup", "rw,memory")
    groups.mount("unified", "/", "cgroup2")
    groups.write("unified/b/memory.max", 50)
    assert groups.memory() == (50, 0, "unified/b/memory.max")
    groups.write("memory/a/memory.limit_in_bytes", 60)
    assert groups.memory() == (60, 0, "memory/a/memory.limit_in_bytes")


def set_memory(groups: Groups, available: int) -> None:
    groups.write("proc/meminfo", f"MemTotal: 9000 kB\nMemAvailable: {available} kB\n")


def test_without_groups_what_the_system_has_is_available(groups: Groups) -> None:
    assert limits.available_memory(groups.proc) is None
    set_memory(groups, 5)
    assert limits.available_memory(groups.proc) == 5 << 10


def test_the_cache_of_files_in_each_group_above_is_available(groups: Groups) -> None:
    set_memory(groups, 8000)
    groups.belong("0::/a/b")
    groups.mount("cg", "/", "cgroup2")
    groups.write("cg/a/memory.max", 3000)
    groups.write("cg/a/memory.current", 2900)
    groups.write(
        "cg/a/memory.stat",
        "anon 1000\nfile 1900\nshmem 500\ninactive_file 800\nactive_file 600",
    )
    groups.write("cg/a/b/memory.max", "max")
    groups.write("cg/a/b/memory.current", 2000)
    assert limits.available_memory(groups.proc) == 3000 - 2900 + 1400
    limits._limited_groups.cache_clear()
    groups.write("cg/a/b/memory.max", 2000)
    assert limits.available_memory(groups.proc) == 0


def test_version_1_counts_the_cache_of_the_groups_below(groups: Groups) -> None:
    set_memory(groups, 8000)
    groups.belong("4:memory:/a")
    groups.mount("memory", "/", "cgroup", "rw,memory")
    groups.write("memory/a/memory.limit_in_bytes", 6000)
    groups.write("memory/a/memory.usage_in_bytes", 5000)
    groups.write(
        "memory/a/memory.stat",
        "inactive_file 1\nactive_file 2\ntotal_inactive_file 30\ntotal_active_file 40",
    )
    assert limits.available_memory(groups.proc) == 1070


def test_an_old_answer_is_given_to_those_who_accept_it(groups: Groups) -> None:
    set_memory(groups, 10)
    assert limits.available_memory(groups.proc, max_age=3600) == 10 << 10
    set_memory(groups, 20)
    assert limits.available_memory(groups.proc, max_age=3600) == 10 << 10
    assert limits.available_memory(groups.proc) == 20 << 10
    assert limits.available_memory(groups.proc, max_age=3600) == 20 << 10


@pytest.mark.parametrize("version", [1, 2])
def test_this_process_is_in_the_group_that_is_found(version: int) -> None:
    directories = list(limits._group_directories("pids", "/proc", version))
    if not directories or not os.path.exists(f"{directories[0]}/cgroup.procs"):
        pytest.skip(f"no control groups of version {version} here")
    members = Path(directories[0], "cgroup.procs").read_text().split()
    assert str(os.getpid()) in members


# -- limits of processes -----------------------------------------------------


def test_open_files_are_those_that_the_shell_has_set() -> None:
    code = "from sharray.system import limits; print(limits.open_files())"
    python = f"PYTHONPATH={ROOT} {sys.executable}"
    shown = disks.run("bash", "-c", f'ulimit -Sn 123; {python} -c "{code}"')
    hard = disks.run("bash", "-c", "ulimit -Hn")
    most = None if hard == "unlimited" else int(hard)
    assert shown == f"Limit(soft=123, hard={most})"


# -- what is set where -------------------------------------------------------


def test_the_choice_in_brackets_is_the_setting(tmp_path: Path) -> None:
    directory = tmp_path / "kernel/mm/transparent_hugepage"
    directory.mkdir(parents=True)
    assert limits.huge_pages(str(tmp_path)) == (None, 0)
    (directory / "shmem_enabled").write_text("always within_size [advise] never\n")
    (directory / "hpage_pmd_size").write_text("2097152\n")
    assert limits.huge_pages(str(tmp_path)) == ("advise", 2097152)


LIMITED = """
import sys
with open(sys.argv[1] + "/cgroup.procs", "w") as group:
    group.write("0")
import sharray as sh
from sharray.system import limits
available = limits.available_memory()
assert available <= 200 << 20, available
assert available >= 100 << 20, available
with open(sys.argv[2], "rb") as file:  # the cache of a file can make room
    while file.read(1 << 20):
        pass
assert limits.available_memory() >= available - (5 << 20), limits.available_memory()
available = limits.available_memory()
a = sh.ones(5 << 20, "u1")
print(limits.available_memory() <= available - (5 << 20))
try:
    sh.ones(1 << 30, "u1")
except sh.NoSpaceError as error:
    print(error)
"""
NO_GROUPS = "needs root and a memory controller of control groups version 1"


@pytest.mark.skipif(
    not os.access("/sys/fs/cgroup/memory/cgroup.procs", os.W_OK), reason=NO_GROUPS
)
def test_an_array_beyond_the_limit_of_the_group_is_refused_and_nobody_killed(
    tmp_path: Path,
) -> None:
    large = tmp_path / "large"
    with open(large, "wb") as file:
        file.write(bytes(100 << 20))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    group = Path(f"/sys/fs/cgroup/memory/sharray-{os.getpid()}")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(200 << 20))
        (group / "below").mkdir()  # without a limit of its own
        done = start_python(LIMITED, str(group / "below"), str(large))
    finally:
        (group / "below").rmdir()
        group.rmdir()
    assert done.returncode == 0, (done.returncode, done.stderr)
    answer, error = done.stdout.splitlines()
    assert answer == "True"
    assert "1073741824" in error or "GiB" in error or "needs" in error, error


def test_of_two_groups_the_tighter_gives_the_quota(groups: Groups) -> None:
    groups.belong("0::/a/b")
    groups.mount("cgroup", "/", "cgroup2")
    groups.write("cgroup/a/cpu.max", "150000 100000")
    groups.write("cgroup/a/b/cpu.max", "max 100000")
    assert limits.cpu_quota(groups.proc) == 1.5


def test_version_1_gives_a_quota_too_and_minus_one_for_none(groups: Groups) -> None:
    groups.belong("3:cpu,cpuacct:/a")
    groups.mount("cpu", "/", "cgroup", "rw,cpu,cpuacct")
    groups.write("cpu/a/cpu.cfs_quota_us", -1)
    groups.write("cpu/a/cpu.cfs_period_us", 100000)
    assert limits.cpu_quota(groups.proc) is None
    groups.write("cpu/cpu.cfs_quota_us", 50000)
    groups.write("cpu/cpu.cfs_period_us", 100000)
    assert limits.cpu_quota(groups.proc) == 0.5
