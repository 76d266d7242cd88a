"""The program of a worker process."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np

from ...arrays.handle import root_for
from ...arrays.root import Root
from ...errors import KernelError
from ...kernels import outcome
from ...kernels.failures import Failure, call_native, capture
from ...native.machine_code import MachineCode, load
from ...storage import ending
from ...system import files, processes
from ..control import layout as at
from ..control.page import ControlBlock, own_words
from ..functions import sending
from ..functions.call import FORKED, Call
from ..functions.sending import Body
from .channel import Channel
from .tables import MOST_PROGRAMS, MOST_SEGMENTS

_SERVE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)


def main(control_fd: int, channel_fd: int, parent: int) -> None:
    """Serve a team until it is closed, or its process has ended.

    Parameters
    ----------
    control_fd, channel_fd : int
        Inherited descriptors of the control block and of the socket.
    parent : int
        Number of the team's process.
    """
    # Ctrl-C is for the team's process, which stops the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Before the first message, so that this process ends even if the team's process is
    # killed while this one starts.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    channel = Channel(socket.socket(fileno=channel_fd))
    try:
        member, members, spin_ns, code = channel.receive()
        worker = _Worker(ControlBlock(control_fd, members), channel, member, spin_ns)
        files.close(control_fd)
        worker.serve(code)
    except (EOFError, ConnectionError):
        pass  # the team has ended


def _end_with(parent: int) -> None:
    processes.wait_for_end_of_parent(parent)
    # Even in the middle of a kernel. If the team's process was killed, the last worker
    # removes its anonymous arrays.
    with suppress(Exception):
        ending.end()
    os._exit(1)


class _Worker:
    def __init__(
        self, control: ControlBlock, channel: Channel, member: int, spin_ns: int
    ) -> None:
        self.pid = os.getpid()
        self.control = control
        self.channel = channel
        self.roots: dict[int, Root] = {}
        self.call: Call | None = None
        self.run = 0  # number of the run whose chunks it calls
        self.raised: BaseException | None = None
        self.keep: list[Any] = []
        self.bases = np.zeros(MOST_SEGMENTS, np.int64)
        self.programs = np.zeros(MOST_PROGRAMS, np.int64)
        self.own = own_words()
        self.own[at.MEMBER] = member
        self.members = at.members(len(control.words))
        control.words[at.member(member) + at.PID] = os.getpid()
        self.own[at.SPIN_NS] = spin_ns
        # Before "ready", after which the team may ring. If the numbers were read later,
        # this worker could take a command that it has not seen for carried out.
        self.own[at.LAST] = control.words[at.BELL]
        self.own[at.SEEN] = control.words[at.COMMANDS]

    def serve(self, code: MachineCode) -> None:
        """Serve runs and commands until the team is closed."""
        address, _ = load(code)
        function = _SERVE(address)
        words = (self.own, self.bases, self.programs)
        addresses = [self.control.address, *(one.ctypes.data for one in words)]
        self.channel.send("ready")
        while True:
            reason, raised = call_native(function, *addresses)
            if reason == at.STOPPED:
                return
            if reason == at.COMMANDED:
                self.obey()
            elif reason == at.CALL:
                self.execute()
            elif reason == at.CALLED_ALL:
                self.send_gathered()
            elif reason == at.KERNEL_RAISED and self.raised is not None:
                self.send_raised()
            elif reason == at.CROWDED:
                processes.move_to_another_core()
            else:
                status, address = int(self.own[at.STATUS]), int(self.own[at.ERROR])
                self.channel.send_aside(_sendable(capture(status, address, raised)))

    def execute(self) -> None:
        """Call the function for a chunk."""
        call, own = self.call, self.own
        assert call is not None, "prepared before the run"
        if self.run != own[at.LAST]:
            self.run = int(own[at.LAST])
            call.taker.begin()
        own[at.STATUS] = 0
        try:
            call.execute(int(own[at.BEGIN]), int(own[at.END]))
        except BaseException as error:
            if os.getpid() != self.pid:
                raise
            own[at.STATUS] = 1
            self.raised = error
        # Such a child would claim chunks as this member, and their values be lost.
        if os.getpid() != self.pid:
            sys.exit(FORKED)

    def send_gathered(self) -> None:
        """Send what this worker has gathered from its chunks."""
        call = self.call
        assert call is not None, "it has executed chunks"
        found, call.taker.gathered = call.taker.gathered, []
        words, mine = self.control.words, at.member(int(self.own[at.MEMBER]))
        if not found or words[at.CANCEL]:
            return
        try:
            message = sending.pack_value(found)
        except Exception as error:
            self.raised = TypeError(
                f"cannot send what {call.taker.name!r} returned: {error}; return what "
                "can be pickled, or write it into an array"
            )
            words[mine + at.RAISED] = 1
            words[at.CANCEL] = 1
            self.send_raised()
            return
        # RAISED first: after an interrupt, the caller then knows of the message.
        words[mine + at.RAISED] = at.SENT_VALUE
        self.channel.send_aside(message)

    def send_raised(self) -> None:
        """Send the exception of the function."""
        error, self.raised = self.raised, None
        assert error is not None, "the caller has checked it"
        self.channel.send_aside(sending.pack_raised(error))

    def obey(self) -> None:
        """Carry out the commands of one message."""
        # Add 1 for each message: COMMANDS may be ahead by several messages, and each
        # must be read.
        self.own[at.SEEN] += 1
        commands = self.channel.receive()
        # Without a variable: the traceback of an error leads to this frame, and from
        # there back to the error. A refused call would keep its arrays.
        self.channel.send([self._try(name, *rest) for name, *rest in commands])

    def _try(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self, name)(*arguments)
        except Exception as error:
            # Without its traceback, whose frames would be a cycle with the answers, and
            # keep arrays until the next garbage collection.
            return _sendable(error.with_traceback(None))

    def load_program(self, number: int, code: MachineCode) -> None:
        """Load the machine code of a kernel."""
        # It is sent twice if the team's process was interrupted in between. LLVM would
        # load it again, and never give the memory of the first copy back.
        if not self.programs[number]:
            self.programs[number], _ = load(code)

    def compile_program(self, number: int, pickled: bytes, keys: Any) -> None:
        """Compile a kernel whose machine code cannot be sent."""
        kernel, reducer = pickle.loads(pickled)
        compiled = kernel.compiled_for(keys, reducer)
        self.keep.append(compiled)
        self.programs[number] = compiled.entry_address

    def take_call(self, body: Body) -> None:
        """Get ready to call a function."""
        self.call = None  # before the next one, which may be large
        sending.move_to(body)
        call = sending.unpack(body, self.roots.__getitem__)
        call.member, call.members = int(self.own[at.MEMBER]), self.members
        self.call = call

    def attach(self, number: int, path: str, identity: bytes, mode: str) -> None:
        """Map a segment."""
        root = root_for(path, identity, mode)
        self.roots[number] = root  # keeps the mapping whose address follows
        self.bases[number] = root.address

    def forget(self, number: int) -> None:
        """Unmap a segment, which removes it if no other process has it."""
        self.call = None  # it may have views of the segment
        self.roots.pop(number, None)
        self.bases[number] = 0

    def hand_over(self) -> bytes:
        """Return the block of the array that the kernel returned, and free it."""
        return outcome.take_block(self.control.outcome(int(self.own[at.MEMBER])))


def _sendable(value: Any) -> Any:
    """Return the value, or a plain error with its text if it cannot be pickled."""
    try:
        pickle.dumps(value)
    except Exception:
        error = value.error if isinstance(value, Failure) else value
        plain = KernelError(f"{type(error).__name__}: {error}")
        return Failure(b"", error=plain) if isinstance(value, Failure) else plain
    return value
