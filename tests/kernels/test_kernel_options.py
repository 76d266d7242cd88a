"""Options of runs and parameters of kernels cannot be mistaken for each other."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import sharray as sh
from sharray.kernels.decorator import RUN_OPTIONS


def test_the_names_are_those_of_the_options_of_a_run() -> None:
    parameters = inspect.signature(sh.Team.run).parameters.values()
    by_keyword = inspect.Parameter.KEYWORD_ONLY
    assert {one.name for one in parameters if one.kind is by_keyword} == RUN_OPTIONS


@pytest.mark.parametrize("name", sorted(RUN_OPTIONS))
def test_a_parameter_with_the_name_of_an_option_is_refused(name: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def scale(x, {name}=2.0):\n    x[0] *= {name}", space)
    for decorate in (sh.kernel, sh.kernel(fastmath=True)):
        with pytest.raises(sh.KernelError, match=f"'{name}' of kernel 'scale'.*rename"):
            decorate(space["scale"])


def test_any_other_name_reaches_the_kernel() -> None:
    @sh.kernel
    def set_to(x: Any, self: Any, kernel: Any, function: Any) -> None:
        for i in range(x.shape[0]):
            x[i] = self + kernel + function

    x = sh.zeros(3)
    with sh.Team(1) as team:
        team.run(set_to, x, self=1, kernel=2, function=3)
        assert x.tolist() == [6, 6, 6]
        team.submit(set_to, x, self=2, kernel=2, function=3).result()
    assert x.tolist() == [7, 7, 7]
