"""`Team`: worker processes that run kernels and functions on shared arrays."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from ..kernels.kernel import Kernel
from ..notebook import ipython, text
from ..system import clock
from . import forgotten
from .copying import Copies
from .functions.arguments import name_of, taken_names
from .functions.map import map_rows
from .functions.plan import Chunks
from .functions.prepared import Prepared, prepare_run
from .members import Members
from .options import check_options, team_name, worker_count
from .progress import ShowProgress
from .workers.process import START_METHODS

_this_thread = threading.get_ident


class Team:
    """Worker processes that run kernels and functions in place on shared arrays.

    Kernels reach the workers as machine code, functions by name or by value, arrays as
    handles. A run of a kernel starts within microseconds, since workers wait in machine
    code.

    Parameters
    ----------
    workers : int, optional
        Number of worker processes; by default as many as there are cores, one less if
        the calling process works too.
    start_method : {'spawn'}
        The way worker processes start. They are new interpreters, or forks of one that
        was started for that, and do not run the main module. So no ``if __name__ ==
        "__main__"`` is needed. A fork of this process could hang if it has threads.
    caller_works : bool, optional
        Whether the calling process does its part of each run; by default it does,
        except in IPython. If False, it only waits. Ctrl-C then stops even a kernel that
        never finishes a chunk, and a kernel that crashes ends a worker instead of this
        process.
    name : str, optional
        Name for people, which `sharray.teams` and ``sharray top`` show; other programs
        see at most 64 bytes of it. By default, a number that no other team of this
        process has.

    Raises
    ------
    ValueError
        The number of workers, the start method or the name is not possible.
    TeamError
        The workers did not start.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def double(x):
    ...     for i in range(x.shape[0]):
    ...         x[i] *= 2
    >>> x = sh.array([1.0, 2.0, 3.0])
    >>> with sh.Team(1) as team:
    ...     team.run(double, x)
    >>> x.tolist()
    [2.0, 4.0, 6.0]
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        start_method: str = "spawn",
        caller_works: bool | None = None,
        name: str | None = None,
    ) -> None:
        if start_method not in START_METHODS:
            raise ValueError(
                f"expected start_method='spawn', got {start_method!r}: workers are "
                "never forks of this process, which may hang if it has threads"
            )
        if caller_works is None:
            # In IPython, a run must end when people interrupt it, and a crash must not
            # take the variables with it. Without workers there is nobody else.
            caller_works = workers == 0 or ipython.shell() is None
        count = worker_count(workers, caller_works)
        self._name = team_name(name)
        self._members = Members(count, caller_works=caller_works, name=self._name)
        try:
            self._members.is_new = forgotten.watch(self, Team._end_as_forgotten)
        except BaseException:
            self._members.end_if_idle()
            raise

    def __repr__(self) -> str:
        return (
            f"<sharray team {text.printable(self._name)}, {self._members.describe()}>"
        )

    @property
    def name(self) -> str:
        """Return the name of the team."""
        return self._name

    @property
    def size(self) -> int:
        """Return the number of members: the workers, and the caller if it works."""
        return self._members.size

    def pids(self) -> list[int]:
        """Return the process numbers of the workers."""
        return [worker.pid for worker in self._members.crew.workers]

    # -- running -------------------------------------------------------------

    def run(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        axis: int | None = None,
        schedule: str = "dynamic",
        chunk: int | None = None,
        reduce: str | Callable[[Any, Any], Any] | None = None,
        seed: int | None = None,
        progress: bool | ShowProgress = False,
        timeout: float | None = None,
        copy: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Run a kernel or a function on shared arrays, in all members of the team.

        The arrays are split together along `axis`. Each call gets a chunk of each
        array, as a view that begins at 0. If a kernel has a loop over `sharray.prange`,
        its range is split instead, and each call gets whole arrays. Without arrays to
        split and without such a loop, the function runs once, in one worker.

        Workers import functions of modules. Functions of the main module and of
        notebooks, lambdas and closures go to them by value. A ufunc gets its outputs
        after its inputs, and its arrays are split by NumPy's rules for shapes.

        Parameters
        ----------
        function : Kernel, callable or numpy.ufunc
            A kernel from `sharray.kernel`, or any function.
        *args, **kwargs : object
            Its arguments: shared arrays to split, and arrays in `sharray.whole` that
            are not split. A kernel takes numbers, tuples, counters and barriers, too.
            Other functions take any object that can be pickled. Each member has a
            copy, whose arrays are read-only.
        axis : int, optional
            The axis along which arrays are split, by default the first.
        schedule : {'dynamic', 'static'}
            With ``'dynamic'``, a member takes the next chunk when it is ready. With
            ``'static'``, each member has fixed chunks, one if `chunk` is not given.
            Reductions of floating-point numbers are then the same in each run.
        chunk : int, optional
            Number of elements along the axis, or of iterations, in a chunk.
        reduce : {'sum', 'min', 'max'} or callable, optional
            The operation that combines the values of the chunks. Kernels return
            numbers, tuples of numbers, or arrays, which are combined element by
            element, and functions anything that combines. A function of two values must
            not depend on their order; for kernels, it is a kernel.
        seed : int, optional
            Seed of the random numbers that a kernel or function draws, from
            ``numpy.random``, ``random`` or `sharray.default_rng`. They do not depend on
            the number of members, nor on their order.
            Without `chunk`, the chunks depend on the length only. Sums of
            floating-point numbers may still be rounded in another way.
        progress : bool or callable, default False
            True shows a bar, which needs tqdm. A callable is called at the beginning,
            about every 50 ms, and at the end. It gets the number of rows done and of
            all rows; of elements, if the arrays have one dimension; of iterations, if
            the kernel has a loop over `sharray.prange`.
        timeout : float, optional
            Longest time to wait, in seconds.
        copy : bool, default False
            Whether to accept arrays that are not shared: they are copied to shared
            memory before the run, and back afterwards.

        Returns
        -------
        object
            The value of the function, combined if it ran in chunks; None without one.

        Raises
        ------
        NotSharedError
            An array is not shared, and `copy` is False.
        ValueError
            The arrays have different lengths along the axis, or an option is wrong.
        KernelError, numba.errors.NumbaError
            The kernel cannot be compiled, or not be used in this way.
        TypeError
            The function cannot be sent to workers, or not be used in this way.
        TeamError
            The team is closed, or this thread is inside one of its runs.
        WorkerDied
            A worker process ended during the run. Results written before stay in the
            arrays.
        TimeoutError
            The run did not finish in time. Results written before stay in the arrays.
        Exception
            The error that the function raised; its note says where.
        """
        __tracebackhide__ = True  # in IPython and pytest
        options = axis, schedule, chunk, reduce, seed
        deadline = None if timeout is None else clock.monotonic() + timeout
        if not isinstance(function, Kernel):
            self._members.check_open()
            return self._run_function(
                function, args, kwargs, options, deadline, progress, copy=copy
            )
        kernel, members = function, self._members
        try:
            members.check_open()
            arguments = kernel.bind(args, kwargs)
            if not copy:
                return members.execute(kernel, arguments, options, deadline, progress)
            copies = Copies(arguments)
            arguments = copies.arguments
            value = members.execute(kernel, arguments, options, deadline, progress)
            copies.copy_back()
            return value
        except BaseException as error:
            raise kernel.explain(error)  # noqa: B904 - the same exception

    def _run_function(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: tuple[Any, ...],
        deadline: float | None,
        progress: bool | ShowProgress,
        *,
        copy: bool,
    ) -> Any:
        """Run a Python function or a ufunc."""
        _check_callable(function)
        checked = check_options(*options, takes_functions=True)
        copies = Copies((*args, *kwargs.values())) if copy else None
        if copies is not None:
            args = copies.arguments[: len(args)]
            kwargs = dict(zip(kwargs, copies.arguments[len(args) :], strict=True))
        axis, _, chunk, reduce, seed = options
        taken = taken_names(
            ("schedule", "progress", "copy"),
            axis=axis,
            chunk=chunk,
            reduce=reduce,
            seed=seed,
            timeout=deadline,
        )
        prepared = prepare_run(function, args, kwargs, checked, taken)
        value = self._members.execute(prepared, (), (), deadline, progress)
        if copies is not None:
            copies.copy_back()
        return value

    def map(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        out: Any = None,
        axis: int | None = None,
        chunk: int | None = None,
        seed: int | None = None,
        progress: bool | ShowProgress = False,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a function on chunks of arrays, and return what the calls return.

        Members call the function for chunks of rows, and store what it returns in the
        same rows of a new shared array. Ordinary arrays are copied to shared memory
        first; the function cannot write to these.

        Parameters
        ----------
        function : callable
            A function that returns an array with as many rows as it got, or a ufunc.
        *args, **kwargs : object
            Its arguments: arrays to split, other arguments in full, `sharray.whole`.
        out : SharedArray, optional
            The array for the result, of any dtype to which the values can be cast as
            with ``casting="same_kind"``; for some ufuncs, a tuple of arrays.
        axis : int, optional
            The axis along which arrays are split, and their results joined; by default
            the first.
        chunk : int, optional
            Number of rows for each call. With it, a call may also return an array with
            another number of rows, a number or any other object.
        seed, progress, timeout : object, optional
            See `run`.

        Returns
        -------
        SharedArray or list
            What the calls return, in the order of the rows. Arrays are joined along the
            axis. Numbers become an array, one for each chunk, and other objects a list.

        Raises
        ------
        TypeError, ValueError
            The values do not fit each other, or an argument is wrong.
        Exception
            See `run`.

        Examples
        --------
        >>> import numpy as np
        >>> import sharray as sh
        >>> x = sh.array([[3.0, 4.0], [6.0, 8.0]])
        >>> with sh.Team(1) as team:
        ...     lengths = team.map(np.linalg.norm, x, chunk=1)
        >>> lengths.tolist()
        [5.0, 10.0]
        """
        __tracebackhide__ = True  # in IPython and pytest
        self._members.check_open()
        _check_callable(function)
        deadline = None if timeout is None else clock.monotonic() + timeout
        checked = check_options(axis, "dynamic", chunk, None, seed)

        def execute(prepared: Prepared) -> Any:
            shown = False if prepared.part is Chunks.FIRST else progress
            return self._members.execute(prepared, (), (), deadline, shown)

        taken = taken_names(
            ("progress",), axis=axis, chunk=chunk, seed=seed, timeout=timeout, out=out
        )
        return map_rows(execute, function, args, kwargs, checked, out, taken)

    def submit(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Run a kernel or a function in the background.

        Parameters
        ----------
        function, *args, **kwargs : object
            See `run`.

        Returns
        -------
        concurrent.futures.Future
            The future value or error of `run`. Submitted runs happen one after the
            other. Its ``cancel()`` also ends a run that has begun, as Ctrl-C ends one.

        Examples
        --------
        >>> import sharray as sh
        >>> @sh.kernel
        ... def total(x):
        ...     found = 0.0
        ...     for i in range(x.shape[0]):
        ...         found += x[i]
        ...     return found
        >>> with sh.Team(1) as team:
        ...     future = team.submit(total, sh.ones(1000), reduce="sum")
        ...     future.result()
        1000.0
        """
        self._members.check_open()
        title = getattr(function, "title", f"function {name_of(function)!r}")
        # In a notebook, the context says which cell shows the progress.
        run = contextvars.copy_context().run
        act = functools.partial(run, self.run, function, *args, **kwargs)
        return self._members.submit(title, act)

    # -- its end -------------------------------------------------------------

    def close(self) -> None:
        """End the worker processes, after the runs that were submitted."""
        self._members.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except BaseException:
            self._members.end_if_idle()  # nobody calls `close` again
            raise

    def _end_as_forgotten(self) -> None:
        self._members.end_if_idle(
            "has ended, since only the history of the notebook held it, and another "
            "team was used"
        )


def _check_callable(function: object) -> None:
    if not callable(function):
        raise TypeError(
            f"expected a kernel, a function or a ufunc, got {type(function).__name__}; "
            "pass the function itself, without calling it"
        )
