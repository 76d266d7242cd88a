"""Fork servers: prepared interpreters from which workers are forked within 2 ms.

A new interpreter takes 0.3 s of processor time until it has imported NumPy and LLVM.
A fork server does that once, for all workers and for those that replace dead ones. It
is no fork of this process, whose threads and modules do not matter::

      team's process                fork server               worker
      start  -------------------->  import NumPy, LLVM
             <--------------------  "ready", or why not
      words, descriptors  ------->  clone, CLONE_PARENT --->  renew its state
             <--------------------  number                    `main.main`
      greet  ----------------------------------------------->
      last team ends: close  ---->  ends

Workers are children of the team's process, as new interpreters would be: see
`sharray.system.siblings`. The death of the fork server does not touch them.

A worker inherits from the fork server what it would inherit from this process: the
environment, the directory, limits, cores, and ``sys.path``. All of this is the key of
a fork server. If it has changed, another fork server is started. Standard output and
error, and the variables in `_VOLATILE`, come with each request.

If there can be no fork server, workers are new interpreters. That is so if

- the platform has no CLONE_PARENT, or the C library does not tell where it keeps the
  number of a thread
- workers may have several threads each, which BLAS starts when it is imported; or
  another library starts some

===============================  ==================================================
ended or killed                  left behind
===============================  ==================================================
this process                     a closed socket, and another parent: the fork
                                 server ends, even while forks of this process keep
                                 the socket open
fork server                      a closed socket: the next worker is a new
                                 interpreter, the next team starts a fork server
fork server, between the fork    a worker that nobody knows: it finds its channel
and its answer                   closed, and ends
===============================  ==================================================

Invariants

- `_servers` has the fork servers that run, and None for keys that cannot have one.
- A fork server runs as long as crews use it.
- One request at a time: the answer that comes is the answer to the last request.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import subprocess
import sys
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path

from ...errors import TeamError
from ...system import channels, forks, inheritance
from ...system.children import Child
from ...system.thread_locks import Lock
from ..functions import threads
from ..functions.sending import search_path
from .forking import LONGEST_REQUEST, READY, ROOM, Request

_START_SECONDS = 120
_FORK_SECONDS = 10  # it takes 2 ms
_END_SECONDS = 2.0
PACKAGE_PARENT = str(Path(__file__).parents[3])
_MARK = "sharray-fork-server"
_CODE = (
    "import gc, sys; gc.disable(); sys.path[:] = {path!r}; "
    "from sharray.team.workers.forking import main; main({fd}, {parent})"
)
# Variables that no library reads when it is imported: pytest notes the test in this.
_VOLATILE = ("PYTEST_CURRENT_TEST",)
_MOST_REFUSED = 64


class ForkServer:
    """A fork server, seen from the team's process.

    Make and end it while signals are deferred.
    """

    def __init__(self, key: Hashable, environment: dict[str, str]) -> None:
        self.key = key
        self.users = 0
        self.is_ready = False
        self.has_failed = False
        self._lock = Lock()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection = here
        with there:
            code = _CODE.format(
                path=[PACKAGE_PARENT, *search_path()],
                fd=there.fileno(),
                parent=os.getpid(),
            )
            try:
                self._process = start_interpreter(
                    code, [_MARK, " " * ROOM], (there.fileno(),), environment
                )
            except BaseException:
                here.close()
                raise

    @property
    def has_ended(self) -> bool:
        """Return whether the process has ended; others may still use this object."""
        return self.has_failed or self._process.poll() is not None

    def wait_until_ready(self) -> bool:
        """Wait until it can fork; return whether it ever will."""
        with self._lock:
            if not self.is_ready and not self.has_failed:
                answer = self._receive(_START_SECONDS)
                self.is_ready = answer == READY
                self.has_failed = not self.is_ready
        return self.is_ready and not self.has_failed

    def fork(self, words: list[bytes], descriptors: tuple[int, ...]) -> Child | None:
        """Return a new worker; None if there can be none.

        Parameters
        ----------
        words : list of bytes
            Arguments that tell people which worker it is.
        descriptors : tuple of (int, int)
            Descriptors of the control block and of its end of the channel.
        """
        message = pickle.dumps(Request(words, _volatile()), pickle.HIGHEST_PROTOCOL)
        with self._lock:
            if not self.is_ready or self.has_failed or len(message) > LONGEST_REQUEST:
                return None
            try:
                socket.send_fds(self._connection, [message], [*descriptors, 1, 2])
                pid = int(self._receive(_FORK_SECONDS))
            except (OSError, ValueError):
                self.has_failed = True
                self._process.kill()
                return None
        return Child(pid) if pid > 0 else None

    def _receive(self, seconds: float) -> str:
        if not channels.is_ready(self._connection.fileno(), select.POLLIN, seconds):
            return ""
        with suppress(OSError):
            return self._connection.recv(LONGEST_REQUEST).decode(errors="replace")
        return ""

    def end(self) -> None:
        """End it; this is a no-op if it has ended."""
        self._connection.close()
        if not self.is_ready:
            self._process.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # it is stopped
            self._process.kill()
            self._process.wait()

    def disown(self) -> None:
        """Forget it in a forked child of this process."""
        self.has_failed = True
        self._connection.close()
        self._process.returncode = 0  # so that `Popen` neither waits for it nor warns


_changing = Lock(reentrant=True)  # a finalizer may end a team in `acquire`
_servers: dict[Hashable, ForkServer | None] = {}
_left_behind: list[ForkServer] = []


def acquire(environment: dict[str, str]) -> ForkServer | None:
    """Return a fork server for workers that start now, or None; start it if necessary.

    Call `wait_until_ready` before the first fork, and `release` at the end. Call this
    while signals are deferred.

    Parameters
    ----------
    environment : dict
        Variables in addition to those of this process.
    """
    variables = environment | os.environ
    if not threads.has_one(variables):
        return None
    inherited = inheritance.inherited()
    if inherited is None:
        return None
    lasting = frozenset(variables.items() - {*_volatile().items()})
    path = tuple(search_path())
    key = sys.executable, sys.dont_write_bytecode, path, lasting, inherited
    with _changing:
        server = _servers.get(key)
        if server is None and key in _servers:
            return None
        if server is None or server.has_ended:
            server = _servers[key] = ForkServer(key, environment)
        server.users += 1
        return server


def release(server: ForkServer) -> None:
    """Use a fork server no more; the last user ends it.

    Call this while signals are deferred.
    """
    with _changing:
        server.users -= 1
        if server.users > 0:
            return
        if _servers.get(server.key) is server:
            del _servers[server.key]
            if server.has_failed and not server.is_ready:
                _refuse(server.key)
    server.end()


def _volatile() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in _VOLATILE}


def _refuse(key: Hashable) -> None:
    """Note that there can be no fork server with this key."""
    refused = [key for key, server in _servers.items() if server is None]
    if len(refused) >= _MOST_REFUSED:
        for one in refused:
            del _servers[one]
    _servers[key] = None


def start_interpreter(
    code: str,
    words: list[bytes] | list[str],
    inherited: tuple[int, ...],
    environment: dict[str, str],
) -> subprocess.Popen[bytes]:
    """Start a Python interpreter that sees nothing of the user but its environment.

    Parameters
    ----------
    code : str
        Its program.
    words : list of bytes or str
        Arguments, for people.
    inherited : tuple of int
        Descriptors that it inherits, besides standard output and error.
    environment : dict
        Variables in addition to those of this process.
    """
    # -I, -S: the environment, the current directory and site-packages do not affect it;
    # its path comes from this process.
    flags = ["-I", "-S"] + ["-B"] * sys.dont_write_bytecode
    # Its own process group: Ctrl-C in a terminal is for the team's process only.
    try:
        return subprocess.Popen(
            [sys.executable, *flags, "-c", code, *words],
            stdin=subprocess.DEVNULL,
            pass_fds=inherited,
            env=environment | os.environ,
            process_group=0,
        )
    except OSError as error:
        raise TeamError(
            f"cannot start a worker process with sys.executable, {sys.executable!r}: "
            f"{error}; set sys.executable to a Python interpreter"
        ) from error


def _leave_to_parent() -> None:
    """Leave the fork servers to the parent: workers would be its children."""
    global _changing
    _changing = Lock(reentrant=True)
    for server in _servers.values():
        if server is not None:
            server.disown()
            _left_behind.append(server)
    _servers.clear()


forks.at_fork(after_in_child=_leave_to_parent)
