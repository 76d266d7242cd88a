"""What `sharray.system` tells of limits, against other programs' word for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import disks
import pytest
from repository import ROOT
from workers import start_python

from sharray.system import limits, mounts

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
needs_unshare = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None,
    reason="needs root and unshare(1)",
)


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
        assert found.inodes == 50
        assert found.free_inodes == int(df(place, "iavail"))
        assert {"rw", "huge=within_size", "nr_inodes=50"} <= set(found.options)


@needs_root
def test_a_tmpfs_without_limits_has_none(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "ram", "0", "nr_inodes=0") as place:
        found = mounts.file_system(str(place))
    assert (found.size, found.inodes, found.free_inodes) == (None, None, None)


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
    setting = Path("/proc/sys/vm/overcommit_memory").read_text()
    assert found.overcommit == int(setting)


def test_memory_is_unknown_without_proc(tmp_path: Path) -> None:
    assert limits.memory(str(tmp_path)) is None


class Groups:
    """A made-up /proc/self, and control groups below a directory."""

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
    assert limits.task_limit(groups.proc) is None


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
    groups.write("cg/pids.max", 40)
    groups.write("cg/pids.current", 3)
    assert groups.memory() == (7000, 1, "cg/memory.max")
    assert limits.task_limit(groups.proc) == (40, 3, f"{groups.at}/cg/pids.max")


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


@pytest.mark.parametrize("version", [1, 2])
def test_this_process_is_in_the_group_that_is_found(version: int) -> None:
    directories = list(limits._group_directories("pids", "/proc", version))
    if not directories or not os.path.exists(f"{directories[0]}/cgroup.procs"):
        pytest.skip(f"no control groups of version {version} here")
    members = Path(directories[0], "cgroup.procs").read_text().split()
    assert str(os.getpid()) in members


# -- limits of processes -----------------------------------------------------


def test_limits_are_those_that_the_shell_has_set() -> None:
    code = (
        "import sys; from sharray.system import limits; "
        "print(*(limits.limit(n) for n in sys.argv[1:]))"
    )
    shell = f"ulimit -Sn 123; ulimit -Sf 4096; {_python()} -c '{code}'"
    shown = disks.run("bash", "-c", f"{shell} NOFILE FSIZE AS")
    lines = shown.replace(") L", ")\nL").splitlines()
    hard = disks.run("bash", "-c", "ulimit -Hn; ulimit -Hf; ulimit -Sv; ulimit -Hv")
    most = [None if n == "unlimited" else int(n) for n in hard.split()]
    assert lines[0] == f"Limit(soft=123, hard={most[0]})"
    assert lines[1] == f"Limit(soft={4096 * 1024}, hard={most[1] and most[1] * 1024})"
    scaled = [kilobytes and kilobytes * 1024 for kilobytes in most[2:]]
    assert lines[2] == f"Limit(soft={scaled[0]}, hard={scaled[1]})"


def _python() -> str:
    import sys

    return f"PYTHONPATH={ROOT} {sys.executable}"


def test_settings_of_the_kernel_are_those_of_sysctl() -> None:
    most = Path("/proc/sys/vm/max_map_count").read_text()
    assert limits.most_mappings() == int(most)
    files = limits.system_files()
    assert files is not None
    assert 0 < files[0] < files[1]
    assert files[1] == int(Path("/proc/sys/fs/file-max").read_text())


@pytest.mark.skipif(os.getuid() != 0, reason="only root may be another user")
def test_tasks_of_a_user_are_processes_and_threads() -> None:
    code = """
import os, threading
from sharray.system import limits
os.setuid(54321)
def show():
    print(limits.count_tasks() - len(os.listdir("/proc/self/task")))
show()
end = threading.Event()
threads = [threading.Thread(target=end.wait) for _ in range(3)]
[thread.start() for thread in threads]
print(len(os.listdir("/proc/self/task")) > 3)
show()
end.set()
print(limits.may_administer())
"""
    ended = start_python(code)
    assert ended.stdout.split() == ["0", "True", "0", "False"], ended.stderr


def test_mappings_of_another_process_are_read_if_it_is_ours() -> None:
    assert limits.can_read_mappings(os.getpid())
    ended = start_python(
        "import os, sys\nfrom sharray.system import limits\n"
        "print(limits.can_read_mappings(os.getppid()))\n"
        "os.getuid() == 0 and os.setuid(54321)\n"
        "print(limits.can_read_mappings(1), os.getuid())"
    )
    first, second, user = ended.stdout.split()
    assert (first, second) == ("True", "False"), user


@needs_unshare
def test_hidden_processes_are_told_from_how_proc_is_mounted() -> None:
    assert mounts.hidden_processes() is None
    code = "from sharray.system import mounts; print(mounts.hidden_processes())"
    shell = f'mount -t proc -o hidepid=2 proc /proc && {_python()} -c "{code}"'
    assert disks.run("unshare", "--mount", "bash", "-c", shell) in ("2", "invisible")


# -- what is set where -------------------------------------------------------


def test_the_choice_in_brackets_is_the_setting(tmp_path: Path) -> None:
    directory = tmp_path / "kernel/mm/transparent_hugepage"
    directory.mkdir(parents=True)
    assert limits.huge_pages(str(tmp_path)) == (None, None, 0)
    (directory / "enabled").write_text("always [madvise] never\n")
    (directory / "shmem_enabled").write_text("always within_size [advise] never\n")
    (directory / "hpage_pmd_size").write_text("2097152\n")
    assert limits.huge_pages(str(tmp_path)) == ("madvise", "advise", 2097152)


def test_a_container_is_known_by_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert limits.container(str(tmp_path)) is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").touch()
    assert limits.container(str(tmp_path)) == "podman"
    (tmp_path / ".dockerenv").touch()
    assert limits.container(str(tmp_path)) == "docker"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert limits.container(str(tmp_path)) == "kubernetes"


LIMITED = """
import sys
with open(sys.argv[1] + "/cgroup.procs", "w") as group:
    group.write("0")
import sharray as sh
from sharray.system import limits
available = limits.available_memory()
assert available <= 200 << 20, available
assert available >= 100 << 20, available
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
def test_an_array_beyond_the_limit_of_the_group_is_refused_and_nobody_killed() -> None:
    group = Path(f"/sys/fs/cgroup/memory/sharray-{os.getpid()}")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(200 << 20))
        done = start_python(LIMITED, str(group))
    finally:
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
