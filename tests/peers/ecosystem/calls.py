"""Calls of other libraries, to compare shared arrays with ordinary ones.

Each call takes a two-dimensional array of floats. `LIGHT` libraries are those of the
extra ``test``; ``python -m peers.ecosystem.run``, in this folder, takes all that are
installed.
"""

from __future__ import annotations

import importlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh

Array = Any
Call = Callable[[Any, Array], Any]

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": lambda a: a,
    "transposed": lambda a: a.T,
    "sliced": lambda a: a[2:-1, 1:],
    "strided": lambda a: a[::2, ::3],
    "reversed": lambda a: a[::-1, ::-1],
    "one column": lambda a: a[:, 1:2],
    "repeated": lambda a: np.broadcast_to(a[0], a.shape, subok=True),
}
KINDS = ("anonymous", "Fortran", "file", "read-only", "private changes")


def values() -> Array:
    """The values of all arrays here."""
    return np.random.default_rng(3).uniform(1, 2, (12, 10))


def shared(kind: str) -> Array:
    """A shared array with these values."""
    if kind == "anonymous":
        return sh.array(values())
    if kind == "Fortran":
        return sh.array(values(), order="F")
    a = sh.create("ecosystem.npy", (12, 10), overwrite=True, fill_value=values())
    if kind == "file":
        return a
    return sh.open("ecosystem.npy", mode="r" if kind == "read-only" else "c")


def plain(kind: str) -> Array:
    """An ordinary array that is like it."""
    found = np.array(values(), order="F" if kind == "Fortran" else "C")
    found.flags.writeable = kind != "read-only"
    return found


def outcome(call: Call, module: Any, array: Array) -> Any:
    """What a call gives, or the type of the error that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layouts and values that they dislike
        try:
            return simple(call(module, array))
        except Exception as error:
            return type(error)


def simple(result: Any) -> Any:
    """A result as arrays, texts and numbers in lists."""
    if isinstance(result, tuple | list):
        return [simple(item) for item in result]
    if isinstance(result, dict):
        return [[str(name), simple(item)] for name, item in result.items()]
    if isinstance(result, str | bytes | float | int | type(None)):
        return result
    for way in ("to_numpy", "toarray", "compute"):
        if hasattr(result, way):
            return simple(getattr(result, way)())
    return np.array(result)


def assert_equal(found: Any, wanted: Any, what: str) -> None:
    """Fail if two results of `outcome` differ."""
    assert type(found) is type(wanted), f"{what}: {found!r} against {wanted!r}"
    if isinstance(found, list):
        assert len(found) == len(wanted), what
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other, what)
    elif isinstance(found, np.ndarray) and found.dtype.kind in "fc":
        # Sums may be taken in another order, as arrays are aligned differently.
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12, err_msg=what)
    elif isinstance(found, np.ndarray):
        np.testing.assert_array_equal(found, wanted, err_msg=what)
    elif isinstance(found, float):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12, err_msg=what)
    else:
        assert found == wanted, what


def compare(library: str) -> Iterator[str]:
    """Make all calls of a library on all layouts; yields each that was equal."""
    module = importlib.import_module(library)
    for name, call in CALLS[library].items():
        for kind in KINDS:
            for layout, view in LAYOUTS.items():
                ours, theirs = shared(kind), plain(kind)
                found = outcome(call, module, view(ours))
                wanted = outcome(call, module, view(theirs))
                what = f"{library}: {name}, {kind}, {layout}"
                assert_equal(found, wanted, what)
                assert_equal(np.array(ours), theirs, f"{what}: what it leaves")
                yield what


def _image(matplotlib: Any, a: Array) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=40)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()  # texts would keep the file of a font open
    axes.pcolormesh(a)
    axes.plot(a[0])
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def _through_file(write: Callable[[str], Any]) -> Any:
    with tempfile.TemporaryDirectory() as directory:
        return write(str(Path(directory, "file")))


def _hdf5(h5py: Any, a: Array) -> Any:
    def write(path: str) -> Any:
        with h5py.File(path, "w") as file:
            data = file.create_dataset("x", data=a)
            found = np.empty_like(a)
            data.read_direct(np.ascontiguousarray(found))
            return data[...], data[1:, 0]

    return _through_file(write)


def _netcdf(netcdf: Any, a: Array) -> Any:
    def write(path: str) -> Any:
        with netcdf.Dataset(path, "w") as file:
            file.createDimension("x", a.shape[0])
            file.createDimension("y", a.shape[1])
            variable = file.createVariable("v", "f8", ("x", "y"))
            variable[:] = a
            return np.array(variable[:])

    return _through_file(write)


def _written(file: Any, save: Callable[[Any, Array], Any], a: Array) -> Any:
    save(file, a)
    return file.getvalue()


def _in_place(module: Any, a: Array) -> Any:
    a += 1
    return a


CALLS: dict[str, dict[str, Call]] = {
    "scipy.linalg": {
        "svd": lambda m, a: m.svdvals(a),
        # Not overwrite_a: SciPy then writes to read-only memory, too, and crashes.
        "qr": lambda m, a: m.qr(a)[1],
        "solve": lambda m, a: m.lstsq(a, a[:, 0])[0],
        "expm": lambda m, a: m.expm(a[:3, :3]),
        "lu": lambda m, a: m.lu(a),
    },
    "scipy.ndimage": {
        "gaussian": lambda m, a: m.gaussian_filter(a, 1),
        "in place": lambda m, a: m.uniform_filter(a, 2, output=a),
        "label": lambda m, a: m.label(a > 1.5),
        "zoom": lambda m, a: m.zoom(a, 2),
    },
    "scipy.signal": {
        "convolve": lambda m, a: m.convolve(a, np.ones((2, 2))),
        "filter": lambda m, a: m.lfilter([1, 2], [1, 0.5], a),
        "peaks": lambda m, a: m.find_peaks(a[:, 0])[0],
    },
    "scipy.fft": {
        "fft": lambda m, a: m.fft(a),
        "cosine": lambda m, a: m.dct(a),
    },
    "scipy.sparse": {
        "csr": lambda m, a: m.csr_array(a) @ np.ones(a.shape[1]),
        "coo": lambda m, a: m.coo_array(a).sum(axis=0),
    },
    "scipy.stats": {
        "describe": lambda m, a: list(m.describe(a)),
        "rank": lambda m, a: m.rankdata(a, axis=0),
    },
    "scipy.spatial": {
        "distances": lambda m, a: m.distance.pdist(a),
        "tree": lambda m, a: m.KDTree(a).query(a, 2),
    },
    "scipy.interpolate": {
        "spline": lambda m, a: m.make_interp_spline(np.arange(len(a)), a, k=1)(0.5),
    },
    "pandas": {
        "frame": lambda m, a: m.DataFrame(a, copy=False),
        "describe": lambda m, a: m.DataFrame(a, copy=False).describe(),
        "group": lambda m, a: m.DataFrame(a).groupby(0).sum(),
        "csv": lambda m, a: m.DataFrame(a).to_csv(),
        "series": lambda m, a: m.Series(a[:, 0]).rolling(2).mean(),
        "join": lambda m, a: m.concat([m.DataFrame(a), m.DataFrame(a)]),
    },
    "xarray": {
        "array": lambda m, a: m.DataArray(a, dims=("x", "y")).mean("x"),
        "select": lambda m, a: m.DataArray(a, dims=("x", "y")).isel(x=[0, 1]),
        "data set": lambda m, a: m.Dataset({"v": (("x", "y"), a)}).v * 2,
    },
    "pyarrow": {
        "array": lambda m, a: m.array(a[:, 0]),
        "tensor": lambda m, a: m.Tensor.from_numpy(a),
        "table": lambda m, a: m.table({"x": a[:, 0]}).to_pandas(),
    },
    "dask.array": {
        "sum": lambda m, a: m.from_array(a, chunks=3).sum(axis=0),
        "product": lambda m, a: m.from_array(a).T @ m.from_array(a),
    },
    "matplotlib": {"figure": _image},
    "numpy": {
        "in place": _in_place,
        "save": lambda m, a: _written(io.BytesIO(), m.save, a),
        "savetxt": lambda m, a: _written(io.StringIO(), m.savetxt, a),
        "einsum": lambda m, a: m.einsum("ij,ik->jk", a, a),
        "polyfit": lambda m, a: m.polyfit(np.arange(len(a)), a, 1),
        "histogram": lambda m, a: m.histogram(a, 4),
        "sort in place": lambda m, a: (a.sort(axis=0), a)[1],
        "masked": lambda m, a: m.ma.masked_less(a, 1.5).mean(axis=0).filled(0),
        "random": lambda m, a: m.random.default_rng(1).permutation(a),
    },
    "h5py": {"file": _hdf5},
    "zarr": {"array": lambda m, a: m.array(a)[:]},
    "numexpr": {"evaluate": lambda m, a: m.evaluate("a * 2 + 1", {"a": a})},
    "polars": {
        "frame": lambda m, a: m.DataFrame(a),
        "series": lambda m, a: m.Series(a[:, 0]).sort(),
    },
    "skimage": {
        "resize": lambda m, a: importlib.import_module("skimage.transform").resize(
            a, (5, 5)
        ),
        "sobel": lambda m, a: importlib.import_module("skimage.filters").sobel(a),
    },
    "statsmodels.api": {"ols": lambda m, a: m.OLS(a[:, 0], a[:, :2]).fit().params},
    "sympy": {
        "matrix": lambda m, a: str(m.Matrix(a[:2, :1])),
        "function": lambda m, a: m.lambdify(m.Symbol("x"), m.sin(m.Symbol("x")))(a),
    },
    "netCDF4": {"file": _netcdf},
    "torch": {
        "tensor": lambda m, a: m.tensor(a).numpy(),
        "in place": lambda m, a: (m.from_numpy(a.copy()).add_(1), a)[1],
    },
    "astropy.units": {
        "times": lambda m, a: (a * m.m).to_value("cm"),
        "quantity": lambda m, a: m.Quantity(a, "s").value,
        "no copy": lambda m, a: m.Quantity(a, "s", copy=False).value,
        "shared unit": lambda m, a: (a << m.km).to("m").value,
        "sum": lambda m, a: ((a * m.m).sum(axis=0) / m.s).value,
        "ufunc": lambda m, a: np.sqrt(a * m.m**2).to_value("m"),
        "plain and quantity": lambda m, a: (a + a * m.dimensionless_unscaled).value,
        "class": lambda m, a: type(a + a * m.dimensionless_unscaled).__name__,
        "in place": lambda m, a: np.add(a * m.m, 1 * m.m, out=(a << m.m)).value,
    },
}

LIGHT = tuple(
    name
    for name in CALLS
    if name.partition(".")[0]
    in ("dask", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "xarray")
)
