"""Functions of modules: workers have the code of the calling process in each run."""

from __future__ import annotations

import collections
import copy
import fractions
import functools
import http
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import team_tools
from repository import PYTHON_PATH

import sharray as sh
from sharray.team.functions import modules
from sharray.team.functions.contents import text

settled = team_tools.settled

NAME = "edited_by_its_user.py"
SOURCE = """
import functools

STEP = 1
HUGE = 10**5000
NAMES = frozenset({{"a", "b", "c", "d"}})
count = 0

def keep(function):
    @functools.wraps(function)
    def inner(x):
        return function(x)
    return inner

class Adding:
    @property
    def amount(self):
        return {amount}

@keep
def add(x):
    global count
    count += 1
    x += Adding().amount * STEP * len({{n for n in {{"a", "b", 7}} if n}}) / 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, 1)
    importlib.invalidate_caches()
    yield importlib.import_module("edited_by_its_user")
    del sys.modules["edited_by_its_user"]
    modules._known.pop("edited_by_its_user", None)  # as in a new process


def save(path: Path, source: str) -> None:
    """Write a module as a user does who needs seconds for a change.

    Python takes the compiled code of a file for that of another one of the same size
    and second.
    """
    before = path.stat().st_mtime if path.exists() else 0.0
    path.write_text(source, "utf-8")
    changed = max(path.stat().st_mtime, before + 2)
    os.utime(path, (changed, changed))


def write(directory: Path, amount: int, before: str = "") -> None:
    save(directory / NAME, before + SOURCE.format(amount=amount))


@pytest.fixture
def team() -> Iterator[sh.Team]:
    with sh.Team(2, caller_works=False) as started:
        yield started


def added(team: sh.Team, module: Any) -> float:
    """Return what the function of the module adds in a run."""
    x = sh.zeros(4)
    team.run(module.add, x)
    assert len(set(x.tolist())) == 1
    return float(x[0])


def test_an_unchanged_module_goes_by_reference(team: sh.Team, module: Any) -> None:
    for _ in range(3):
        assert added(team, module) == 1
        module.add(sh.zeros(1))  # which changes `count` here
    assert team._members._by_value == set()


def test_a_module_that_was_edited_and_loaded_again(
    team: sh.Team, module: Any, tmp_path: Path
) -> None:
    assert added(team, module) == 1
    write(tmp_path, 20)
    assert added(team, importlib.reload(module)) == 20
    assert added(team, module) == 20


def test_a_module_that_was_edited_and_not_loaded_again(
    team: sh.Team, module: Any, tmp_path: Path
) -> None:
    write(tmp_path, 20)  # workers import this
    assert added(team, module) == 1


def test_a_constant_that_was_set(team: sh.Team, module: Any) -> None:
    assert added(team, module) == 1
    module.STEP = 5
    assert added(team, module) == 5
    module.STEP = 1
    assert added(team, module) == 1


def test_a_function_that_was_replaced(team: sh.Team, module: Any) -> None:
    assert added(team, module) == 1
    module.Adding = type("Adding", (), {"amount": 9, "__module__": module.__name__})
    module.Adding.__init__ = lambda self: None
    assert added(team, module) == 9


def test_a_line_that_moves_changes_nothing(module: Any, tmp_path: Path) -> None:
    before = modules.versions(["edited_by_its_user"])["edited_by_its_user"]
    write(tmp_path, 1, "# a comment\n\n")
    importlib.reload(module)
    assert modules.versions(["edited_by_its_user"])["edited_by_its_user"] == before
    module.HUGE += 1
    assert modules.versions(["edited_by_its_user"])["edited_by_its_user"] != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, [2]], [[1], 2]),
        ([[1, 2], 3], [[1], 2, 3]),
        ([(1, 2)], [[1, 2]]),
        ({1: {2: 3}}, {1: {2: 3, 4: 5}}),
        ([[1], [1, 1]], [[1], [1], 1]),
        (["a", "b"], ["a, 'b'"]),
        ({1, 2}, [1, 2]),
        (np.float64(0.1), np.float32(0.1)),
        (np.float64(0.1), np.float64(0.1) + 1e-17 * 3),
        (np.str_("a"), "a"),
        (np.datetime64(1, "s"), np.datetime64(1, "m")),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.Counter("ab"), collections.Counter("aab")),
        (range(3), range(4)),
        (np.dtype("i4"), np.dtype("f4")),
        (http.HTTPStatus.OK, 200),
        (http.HTTPStatus.OK, http.HTTPStatus.CREATED),
        (fractions.Fraction(1, 2), 0.5),
        (np.arange(30000), np.arange(30000) // 29999),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.zeros(2, "i8")),
        (np.zeros(2, "S0"), np.zeros(3, "S0")),
        (True, 1),
        (1, 1.0),
    ],
)
def test_other_contents_have_other_texts(one: Any, other: Any) -> None:
    assert text(one) != text(other)
    assert text(one) == text(copy.deepcopy(one))


def test_containers_may_be_as_deep_as_they_like() -> None:
    one, other = [1], [2]
    for _ in range(5000):
        one, other = [(one,)], [(other,)]
    assert text(one) != text(other)


def test_installed_modules_are_left_out() -> None:
    found = modules.versions(sys.modules)
    assert "numpy" not in found
    assert "pytest" not in found
    assert "json" not in found
    assert __name__ in found


def replace(directory: Path, source: str) -> None:
    """Replace the module by another one, which has nothing of it."""
    save(directory / NAME, source)
    del sys.modules["edited_by_its_user"]
    importlib.import_module("edited_by_its_user")


def module_of_now() -> ModuleType:
    return sys.modules["edited_by_its_user"]


VARIANTS = {
    "a default": "def add(x, amount={}):\n    x += amount\n",
    "a default by name": "def add(x, *, amount={}):\n    x += amount\n",
    "a number": "AMOUNT = {}\ndef add(x):\n    x += AMOUNT\n",
    "a tuple": "AMOUNT = 7, [{}]\ndef add(x):\n    x += AMOUNT[1][0]\n",
    "a list": "AMOUNT = [{}, None]\nAMOUNT.append(AMOUNT)\n"
    "def add(x):\n    x += AMOUNT[0]\n",
    "a list many times": "AMOUNT = [{}, {{1, 2}}]\nfor _ in range(200):\n"
    "    AMOUNT = [*AMOUNT[:1], AMOUNT, AMOUNT]\ndef add(x):\n    x += AMOUNT[0]\n",
    "a dict": "AMOUNT = {{'a': {{'b': {}}}}}\ndef add(x):\n    x += AMOUNT['a']['b']\n",
    "an array": "import numpy as np\nAMOUNT = np.full(3, {})\n"
    "def add(x):\n    x += AMOUNT[2]\n",
    "a number of NumPy": "import numpy as np\nAMOUNT = np.sqrt(np.float64({}) ** 2)\n"
    "def add(x):\n    x += AMOUNT\n",
    "a named tuple": "import collections\nPair = collections.namedtuple('P', 'a b')\n"
    "AMOUNT = Pair({}, 7)\ndef add(x):\n    x += AMOUNT.a\n",
    "an object": "import types\nAMOUNT = types.SimpleNamespace(a={})\n"
    "def add(x):\n    x += AMOUNT.a\n",
    "an object in a list": "class Amount:\n    pass\nAMOUNT = [Amount(), 7]\n"
    "AMOUNT[0].a = {}\ndef add(x):\n    x += AMOUNT[0].a\n",
    "an object of a closure": "class Amount:\n    pass\ndef more(a):\n"
    "    amount = Amount()\n    amount.a = a\n    def add(x):\n        x += amount.a\n"
    "    return add\nadd = more({})\n",
    "a frozen dataclass": "import dataclasses\n@dataclasses.dataclass(frozen=True)\n"
    "class Amount:\n    a: int\nAMOUNT = Amount({})\ndef add(x):\n    x += AMOUNT.a\n",
    "an ordered dict": "import collections\nAMOUNT = collections.OrderedDict(a={})\n"
    "def add(x):\n    x += AMOUNT['a']\n",
    "a member": "import enum\nclass Amount(enum.Enum):\n    a = {}\nAMOUNT = Amount.a\n"
    "def add(x):\n    x += AMOUNT.value\n",
    "a fraction": "import fractions\nAMOUNT = fractions.Fraction({})\n"
    "def add(x):\n    x += int(AMOUNT)\n",
    "a range": "AMOUNT = range({})\ndef add(x):\n    x += len(AMOUNT)\n",
    "a duration": "import datetime\nAMOUNT = datetime.timedelta({})\n"
    "def add(x):\n    x += AMOUNT.days\n",
    "a path": "import pathlib\nAMOUNT = pathlib.Path('{}')\n"
    "def add(x):\n    x += int(AMOUNT.name)\n",
    "a mask": "import numpy as np\nMASK = [i >= {} for i in range(3)]\n"
    "AMOUNT = np.ma.array(np.ones(3), mask=MASK)\ndel MASK\n"
    "def add(x):\n    x += AMOUNT.count()\n",
    "a dtype": "import numpy as np\nAMOUNT = np.dtype('V{}')\n"
    "def add(x):\n    x += AMOUNT.itemsize\n",
    "a large array": "import numpy as np\nAMOUNT = np.full(10**5, {})\n"
    "def add(x):\n    x += AMOUNT[7]\n",
    "a large list": "AMOUNT = [{}] * 5000\ndef add(x):\n    x += AMOUNT[-1]\n",
    "a class": "class Amount:\n    value = {}\ndef add(x):\n    x += Amount.value\n",
    "a static method": "class Amount:\n    @staticmethod\n    def value():\n"
    "        return {}\ndef add(x):\n    x += Amount.value()\n",
    "a decorator": "import functools\ndef times(amount):\n    def decorate(function):\n"
    "        @functools.wraps(function)\n        def inner(x):\n"
    "            x += function(amount)\n        return inner\n    return decorate\n"
    "@times({})\ndef add(amount):\n    return amount\n",
    "a function in a list": "def _amount():\n    return {}\nALL = [_amount]\n"
    "del _amount\ndef add(x):\n    x += ALL[0]()\n",
    "a function in a dict": "ALL = {{'a': lambda: {}}}\n"
    "def add(x):\n    x += ALL['a']()\n",
    "a function in a set": "def make(amount):\n    found = set()\n"
    "    def get():\n        return len(found) and amount\n    found.add(get)\n"
    "    return found\nALL = make({})\n"
    "def add(x):\n    x += next(iter(ALL))()\n",
    "a cached function": "import functools\n@functools.lru_cache(7)\ndef get(n):\n"
    "    return get(n - 1) if n else {}\ndef add(x):\n    x += get(3)\n",
    "a class within a class": "class Outer:\n    class Inner:\n"
    "        value = {}\ndef add(x):\n    x += Outer.Inner.value\n",
    "a method within a class": "class Outer:\n    class Inner:\n"
    "        def value(self):\n            return {}\n"
    "def add(x):\n    x += Outer.Inner().value()\n",
    "a base": "class One:\n    value = 1\nclass Two:\n    value = 2\n"
    "class Three:\n    value = 3\nclass Amount((One, Two, Three)[{} - 1]):\n    pass\n"
    "def add(x):\n    x += Amount.value\n",
    "a class of a closure": "def make(amount):\n    class Amount:\n"
    "        value = amount\n    return lambda: Amount.value\nget = make({})\n"
    "def add(x):\n    x += get()\n",
    "a property of a partial": "import functools\ndef get(amount, self):\n"
    "    return amount\nclass Amount:\n"
    "    value = property(functools.partial(get, {}))\n"
    "def add(x):\n    x += Amount().value\n",
    "a bound method": "class Amount:\n    def __init__(self, amount):\n"
    "        self.amount = amount\n    def get(self):\n        return self.amount\n"
    "get = Amount({}).get\ndef add(x):\n    x += get()\n",
    "a method of a list": "get = [0, {}].__getitem__\ndef add(x):\n    x += get(1)\n",
    "a builtin": "get = (min, max, sum)[{} - 1]\n"
    "def add(x):\n    x += 1 + (min, max, sum).index(get)\n",
    "a function of another name": "def amount():\n    return {}\n"
    "amount.__module__ = 'numpy'\ndef add(x):\n    x += amount()\n",
    "an object of a subclass": "class Amount(list):\n    pass\nAMOUNT = Amount()\n"
    "AMOUNT.a = {}\ndef add(x):\n    x += AMOUNT.a\n",
    "an array of objects": "import numpy as np\nAMOUNT = np.array([None, {}])\n"
    "def add(x):\n    x += AMOUNT[1]\n",
    "a partial": "import functools\ndef more(x, amount):\n    x += amount\n"
    "add = functools.partial(more, amount={})\nadd.__module__ = __name__\n",
}


@pytest.mark.parametrize("what", VARIANTS)
def test_whatever_is_edited_arrives(
    team: sh.Team, module: Any, tmp_path: Path, what: str
) -> None:
    replace(tmp_path, VARIANTS[what].format(1))
    assert added(team, module_of_now()) == 1
    assert team._members._by_value == set()
    for amount in (2, 3):
        save(tmp_path / NAME, VARIANTS[what].format(amount))
        assert added(team, importlib.reload(module_of_now())) == amount


@pytest.mark.parametrize(
    "change",
    [
        *("AMOUNT[0] = 9", "AMOUNT[1]['a'] = 9", "ARRAY[0] = 9", "Amount.value = 9"),
        *("FROZEN.values[0] = 9", "OBJECTS = [Object(9)]", "OBJECTS[0] = Object(9)"),
    ],
)
def test_what_changes_in_place_arrives(
    team: sh.Team, module: Any, tmp_path: Path, change: str
) -> None:
    source = """
import dataclasses
import numpy as np
@dataclasses.dataclass(frozen=True)
class Frozen:
    values: list
FROZEN = Frozen([0])
class Object:
    def __init__(self, value):
        self.value = value
OBJECTS = [Object(0)]
AMOUNT = [0, {"a": 0}]
ARRAY = np.zeros(3)
class Amount:
    value = 0
def add(x):
    x += AMOUNT[0] + AMOUNT[1]["a"] + ARRAY[0] + Amount.value + FROZEN.values[0]
    x += OBJECTS[0].value
"""
    replace(tmp_path, source)
    assert added(team, module_of_now()) == 0
    assert team._members._by_value == set()
    exec(change, vars(module_of_now()))
    assert added(team, module_of_now()) == 9


HELPER = "other_edited_by_its_user"
USES = {
    "its module": "import {0}\ndef add(x):\n    x += {0}.amount()\n",
    "its function": "from {0} import amount\ndef add(x):\n    x += amount()\n",
    "its variable": "from {0} import AMOUNT\ndef add(x):\n    x += AMOUNT\n",
    "its class": "from {0} import Amount\nclass Mine(Amount):\n    pass\n"
    "def add(x):\n    x += Mine.value\n",
    "its decorator": "from {0} import decorate\n@decorate\ndef get():\n    return 0\n"
    "def add(x):\n    x += get()\n",
}
OF_HELPER = """
AMOUNT = {0}
def amount():
    return {0}
class Amount:
    value = {0}
def decorate(function):
    return lambda: function() + {0}
"""


@pytest.fixture
def helper(tmp_path: Path, module: Any) -> Iterator[Path]:
    """Write a module that another one uses; yield its file."""
    path = tmp_path / f"{HELPER}.py"
    save(path, OF_HELPER.format(1))
    yield path
    sys.modules.pop(HELPER, None)
    modules._known.pop(HELPER, None)


@pytest.mark.parametrize("use", USES)
def test_a_module_that_another_one_uses(
    team: sh.Team, tmp_path: Path, helper: Path, use: str
) -> None:
    replace(tmp_path, USES[use].format(HELPER))
    assert added(team, module_of_now()) == 1
    assert team._members._by_value == set()
    for amount in (2, 3):
        save(helper, OF_HELPER.format(amount))
        importlib.reload(sys.modules[HELPER])
        assert added(team, importlib.reload(module_of_now())) == amount


def test_a_module_that_comes_to_use_another_one(
    team: sh.Team, tmp_path: Path, helper: Path
) -> None:
    importlib.import_module(HELPER)
    assert team.run(sys.modules[HELPER].amount) == 1
    save(helper, OF_HELPER.format(2))
    assert team.run(importlib.reload(sys.modules[HELPER]).amount) == 2
    replace(tmp_path, USES["its module"].format(HELPER))
    assert added(team, module_of_now()) == 2


CANNOT_GO = {
    "an import": "AMOUNT = {0}\ndef add():\n"
    "    from edited_by_its_user import AMOUNT\n    return AMOUNT\n",
    "a module by its name": "import sys\nAMOUNT = {0}\ndef add():\n"
    "    return sys.modules['edited_by_its_user'].AMOUNT\n",
}


def test_a_cached_function_alone(team: sh.Team, module: Any, tmp_path: Path) -> None:
    source = "import functools\n@functools.cache\ndef get():\n    return {}\n"
    replace(tmp_path, source.format(1))
    assert team.run(module_of_now().get) == 1
    save(tmp_path / NAME, source.format(2))
    assert team.run(importlib.reload(module_of_now()).get) == 2


def test_a_cached_function_of_the_main_module(team: sh.Team) -> None:
    double = functools.lru_cache(3)(lambda x: 2 * x)
    double.__module__ = "__main__"
    assert team.run(lambda: double(4)) == 8


@pytest.mark.parametrize("what", CANNOT_GO)
def test_what_cannot_go_by_value_is_refused(
    team: sh.Team, module: Any, tmp_path: Path, what: str
) -> None:
    replace(tmp_path, CANNOT_GO[what].format(1))
    assert team.run(module_of_now().add) == 1
    save(tmp_path / NAME, CANNOT_GO[what].format(2))
    importlib.reload(module_of_now())
    for _ in range(2):
        with pytest.raises(sh.TeamError, match="another version of module"):
            team.run(module_of_now().add)
    with sh.Team(1, caller_works=False) as other:
        assert other.run(module_of_now().add) == 2


def test_an_object_that_goes_by_its_name_is_refused(
    team: sh.Team, module: Any, tmp_path: Path
) -> None:
    source = (
        "class Amount:\n    def __reduce__(self):\n        return 'AMOUNT'\n"
        "AMOUNT = Amount()\nAMOUNT.value = {}\n"
        "def add():\n    return AMOUNT.value\n"
    )
    replace(tmp_path, source.format(1))
    assert team.run(module_of_now().add) == 1
    save(tmp_path / NAME, source.format(2))
    with pytest.raises(sh.TeamError, match="AMOUNT cannot be sent by value"):
        team.run(importlib.reload(module_of_now()).add)


def test_an_import_within_a_package(tmp_path: Path, module: Any) -> None:
    def of(source: str) -> set[str]:
        code = compile(source, "", "exec")
        return set(modules.imported_by(code, "sharray.team.functions"))

    assert "sharray.team.functions.call" in of("from . import call")
    assert "sharray.team.functions.call" in of("from .call import Call")
    assert "sharray.team.plan" in of("from ..plan import Plan")
    assert "sharray.team" not in of("from .call import Call")


MAIN = """
import multiprocessing
import sharray as sh

def twice(x):
    return 2 * x

def task(x):
    with sh.Team(1, caller_works=False) as team:
        return team.run(twice, x)

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(task, [3]))
"""


def test_the_main_module_in_a_child_of_multiprocessing(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(MAIN, "utf-8")
    environment = os.environ | {"PYTHONPATH": PYTHON_PATH}
    found = subprocess.check_output([sys.executable, file], env=environment)
    assert found == b"[6]\n"
