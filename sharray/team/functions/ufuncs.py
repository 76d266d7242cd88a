"""Arguments of ufuncs, split by NumPy's rules for shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays.core import AnyArray, SharedArray
from ...kernels.argument_keys import WHOLE
from ..arguments import Whole, overlaps
from ..schedule import SplitArrays
from .arguments import Found, along_axis, as_shared
from .call import Axis


def look_at(
    ufunc: np.ufunc, args: tuple[Any, ...], kwargs: dict[str, Any], axis: int
) -> Found:
    """Decide which inputs of a ufunc to split.

    An input is split if it has the axis of the output. Otherwise NumPy repeats it along
    that axis, and each chunk gets all of it.

    Parameters
    ----------
    ufunc : numpy.ufunc
        The ufunc.
    args : tuple
        Its inputs, then its outputs, which are shared arrays.
    kwargs : dict
        Its options, such as ``where``.
    axis : int
        The axis of the output along which the work is split.

    Raises
    ------
    TypeError, ValueError, NotSharedError
        The arguments do not fit the ufunc, or each other.
    """
    name = ufunc.__name__
    _check_count(ufunc, args, kwargs)
    outputs = tuple(_output(name, value) for value in args[ufunc.nin :])
    shape = outputs[0].shape
    if any(one.shape != shape for one in outputs):
        raise ValueError(
            f"expected outputs of one shape for {name!r}, got "
            f"{[one.shape for one in outputs]}; make them alike"
        )
    along = along_axis("output", outputs[0], axis)
    for number, one in enumerate(outputs):
        _check_apart(name, one, outputs[number + 1 :], but_itself=False)
    inputs, axes = [], []
    split_arrays: SplitArrays = [(one, along) for one in outputs]
    where = kwargs.get("where", True)
    for value in (*args[: ufunc.nin], where):
        array, its_axis = _input(name, value, shape, along)
        if isinstance(array, SharedArray):
            _check_apart(name, array, outputs)
        if its_axis != WHOLE:
            split_arrays.append((array, its_axis))
        inputs.append(array)
        axes.append(its_axis)
    named: dict[str, Any] = {**kwargs, "out": outputs, "where": inputs.pop()}
    axes_by_name: dict[str, Axis] = dict.fromkeys(named, WHOLE)
    axes_by_name |= {"out": (along,) * len(outputs), "where": axes.pop()}
    return Found(
        tuple(inputs), named, tuple(axes), axes_by_name, shape[along], split_arrays
    )


def _check_count(
    ufunc: np.ufunc, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    name = ufunc.__name__
    if ufunc.signature is not None:
        raise TypeError(
            f"{name!r} works on whole axes, {ufunc.signature}; call it in a function "
            "of your own that gets chunks"
        )
    if "out" in kwargs or len(args) != ufunc.nargs:
        raise TypeError(
            f"expected {ufunc.nin} inputs and {ufunc.nout} outputs for {name!r}, got "
            f"{len(args)} arguments; pass all of them by position, as in "
            "sharray.run(numpy.sqrt, x, out), where an output may also be an input"
        )


def _output(name: str, value: Any) -> AnyArray:
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"expected a shared array as output of {name!r}, got "
            f"{type(value).__name__}; make it with sharray.empty"
        )
    return as_shared(value, name, "output", copies=False)


def _input(
    name: str, value: Any, shape: tuple[int, ...], along: int
) -> tuple[Any, int]:
    """Return an input and the axis along which it is split, or WHOLE."""
    if isinstance(value, Whole):
        value = value.value
    if np.ndim(value) == 0 and not isinstance(value, np.ndarray):
        return value, WHOLE
    array = as_shared(np.asanyarray(value), name, "input", copies=True)
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"an input of {name!r} of shape {array.shape} does not fit an output of "
            f"shape {shape}; make an output of the shape that NumPy returns"
        )
    its_axis = along - (len(shape) - array.ndim)
    if its_axis < 0 or array.shape[its_axis] != shape[along]:
        return array, WHOLE
    return array, its_axis


def _check_apart(
    name: str,
    array: AnyArray,
    outputs: tuple[AnyArray, ...],
    *,
    but_itself: bool = True,
) -> None:
    """Refuse an output that shares memory with other rows of an array."""
    for out in outputs:
        same = (
            but_itself
            and array.shape == out.shape
            and array.strides == out.strides
            and array.dtype == out.dtype
            and array.__array_interface__["data"] == out.__array_interface__["data"]
        )
        if not same and overlaps(array, out):
            raise ValueError(
                f"the output of {name!r} shares memory with other elements of "
                "another argument, which one member would read while another writes "
                "it; use another output, or exactly the same array"
            )
