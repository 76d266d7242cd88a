"""Commands that are right for this machine: as root, with sudo, in a container."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

_CONTAINER = {"docker": "docker run", "podman": "podman run"}


@dataclass(frozen=True)
class Host:
    """Who may change what here.

    Attributes
    ----------
    is_root : bool
        This user needs no sudo.
    may_administer : bool
        This process may mount.
    container : str or None
        "docker", "podman", "kubernetes".
    in_slurm : bool
        This is a job of Slurm.
    """

    is_root: bool
    may_administer: bool
    container: str | None
    in_slurm: bool

    @property
    def is_confined(self) -> bool:
        """Whether only who has started the container can change the system."""
        return self.container is not None and not self.may_administer

    def as_root(self, command: str) -> str:
        """A command of the shell, run as root; piped ones take care themselves."""
        return command if self.is_root else f"sudo {command}"

    def set_kernel(self, name: str, value: int) -> tuple[str, ...]:
        """Set a sysctl(8), now and after a restart."""
        now = f"sysctl -w {name}={value}"
        line = f"echo {name}={value}"
        file = "/etc/sysctl.d/60-sharray.conf"
        if self.is_confined:
            return (f"sudo {now}  # on the host of the container",)
        return self.as_root(now), f"{line} | {self.as_root(f'tee -a {file}')}"

    def set_mount(self, point: str, option: str) -> tuple[str, ...]:
        """Change an option of a mounted tmpfs."""
        if self.is_confined:
            return ()
        now = self.as_root(f"mount -o remount,{option} {shlex.quote(point)}")
        if self.container is not None:
            return (now,)
        return (f"{now}  # until a restart; for good in /etc/fstab",)

    def run_container(self, option: str) -> tuple[str, ...]:
        """Start the container anew with another option."""
        start = _CONTAINER.get(self.container or "")
        return (f"{start} {option} ...",) if start else ()
