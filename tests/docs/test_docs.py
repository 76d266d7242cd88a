"""The documentation builds, its code runs, and the names in it exist."""

from __future__ import annotations

import doctest
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import docs_pages
import pytest
import typer.testing
import workers
import yaml
from docs_pages import DOCS, PAGES, REPOSITORY

import sharray as sh
from sharray.cli.app import app

# A worker under fork, in a process that may have threads by then.
_FORKS = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
pytestmark = pytest.mark.slow

_OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
_MIGRATIONS = [page for page in PAGES if page.stem.startswith("from-")]
_REFERENCE = sorted((DOCS / "reference").glob("*.md"))
_COMMANDS = typer.main.get_command(app).list_commands(None)
_SESSIONS = [page for page in PAGES if ">>> " in page.read_text("utf-8")]
_PROGRAMS = [
    (DOCS / "index.md", "shade.py"),
    *((page, name) for page in _MIGRATIONS for name in ("before.py", "after.py")),
]


def text_of(page: Path) -> str:
    """Return the text of a page, with its own names of arrays in RAM."""
    text = page.read_text("utf-8")
    if page in _MIGRATIONS:
        text = text.replace("velocity", f"velocity-{os.getpid()}")
    return text


def need_what_is_imported(code: str) -> None:
    if "import SharedArray" in code:
        pytest.importorskip(
            "SharedArray",
            reason="the package SharedArray is compiled on installation, and only the "
            "extra 'bench' has it: pip install '.[bench]' to run this code",
        )


# -- the code ----------------------------------------------------------------


@_FORKS
@pytest.mark.parametrize("page", _SESSIONS, ids=lambda page: page.stem)
def test_what_a_page_shows_of_an_interpreter_is_what_it_answers(page: Path) -> None:
    test = doctest.DocTestParser().get_doctest(
        docs_pages.session(text_of(page)), {}, page.stem, str(page), 0
    )
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=_OPTIONS)
    failed, _ = runner.run(test, out=report.write)
    assert failed == 0, report.getvalue()


@pytest.mark.parametrize(
    ("page", "name"), _PROGRAMS, ids=[f"{page.stem}-{name}" for page, name in _PROGRAMS]
)
def test_a_program_prints_what_its_page_says(page: Path, name: str) -> None:
    text = text_of(page)
    programs = {block.title: block.text for block in docs_pages.blocks(text)}
    need_what_is_imported(programs[name])
    Path(name).write_text(programs[name])
    (command,) = (c for c in docs_pages.commands(text) if c.words[1:] == [name])
    done = subprocess.run(
        [sys.executable, "-W", "error", name],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == command.output


@pytest.mark.parametrize("column", ["old", "new"])
@pytest.mark.parametrize("page", _MIGRATIONS, ids=lambda page: page.stem)
def test_a_column_of_a_migration_table_is_a_program(page: Path, column: str) -> None:
    pairs = list(docs_pages.migrations(text_of(page)))
    assert pairs
    for pair in pairs:
        code = pair[column == "new"]
        need_what_is_imported(code)
        assert code.count("\n") > 4
        done = workers.start_python(code)
        assert done.returncode == 0, f"{done.stderr}\nin\n{code}"


def test_every_block_is_one_that_is_run_or_no_code() -> None:
    programs = []
    for page in PAGES:
        found = docs_pages.blocks(text_of(page))
        for block in found:
            assert block.language in ("python", "console", "text"), page
            if block.language == "python" and not block.is_session:
                programs.append((page, block.title))
        fences = re.findall(r"^ *(?:```|~~~)", text_of(page), re.MULTILINE)
        assert len(fences) == 2 * len(found), page
    assert sorted(programs) == sorted(_PROGRAMS)


def test_commands_are_ones_that_there_are() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    known = {
        "make": set(re.findall(r"^(\w+):.*##", makefile, re.MULTILINE)),
        "sharray": {"--help", *_COMMANDS},
        "python": {"-m", *(name for _, name in _PROGRAMS)},
        "pip": {"install"},
    }
    for page in PAGES:
        text = text_of(page)
        for words, _ in docs_pages.commands(text):
            assert words[1] in known[words[0]], page
        for extra in re.findall(r"pip install '\.\[(\w+)\]'", text):
            assert extra in extras, page


def test_the_command_line_is_described() -> None:
    text = text_of(DOCS / "how-to" / "command-line.md")
    sections = " ".join(re.findall("^## .*: (.*)$", text, re.MULTILINE))
    for command in _COMMANDS:
        assert re.search(rf"\b{command}\b", sections), command
        assert f"\n| `{command}` |" in text


def test_commands_of_the_page_do_as_it_says() -> None:
    sh.create("field.npy", (500, 1000))
    sh.create("shm://run7/velocity", 1000)
    ran = set()
    for words, _ in docs_pages.commands(text_of(DOCS / "how-to" / "command-line.md")):
        command, *arguments = words[1:]
        if command in ("--help", "demo", "doctor", "tail") or words[1:] == ["top"]:
            # They take long, or do not end by themselves.
            explained = run_command(command, "--help")
            options = [word for word in arguments if word.startswith("-")]
            assert all(option in explained for option in options)
        else:
            ran.add(command)
            run_command(command, *arguments)
    assert ran == {"ls", "info", "verify", "rm", "gc", "top"}
    assert sh.list() == []
    assert os.listdir() == ["field.npy"]


def run_command(*words: str) -> str:
    done = typer.testing.CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


# -- what it names -----------------------------------------------------------


def test_names_in_the_text_are_names_of_the_library() -> None:
    for page in PAGES:
        for name in docs_pages.names_of_sharray(text_of(page)):
            assert hasattr(sh, name), f"{page}: there is no sharray.{name}"


def test_the_reference_has_every_public_name_once() -> None:
    text = "".join(page.read_text("utf-8") for page in _REFERENCE)
    found = re.findall(r"^::: sharray\.(\w+)$", text, re.MULTILINE)
    others = ["list", "map", "multiprocessing", "open"]
    assert sorted(found) == sorted([*sh.__all__, *others])


def test_the_benchmarks_have_their_places() -> None:
    text = (DOCS / "performance.md").read_text("utf-8")
    found = re.findall(r"<!-- (benchmarks: \w+|end of benchmarks) -->", text)
    end = "end of benchmarks"
    assert found == ["benchmarks: overview", end, "benchmarks: all", end]


# -- the build ---------------------------------------------------------------


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-f", config, "-d", site],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("docs") / "site"
    done = build(REPOSITORY / "mkdocs.yml", found)
    assert done.returncode == 0, done.stderr
    return found


def test_the_strict_build_has_a_page_for_each_source(site: Path) -> None:
    built = {page.relative_to(site) for page in site.rglob("*.html")}
    written = {page.relative_to(DOCS).with_suffix(".html") for page in PAGES}
    assert built - {Path("404.html")} == written


def test_the_reference_shows_what_the_docstrings_say(site: Path) -> None:
    shown = (site / "reference" / "names.html").read_text("utf-8")
    assert 'id="sharray.create"' in shown
    assert "Processes that have it mapped keep the old" in shown


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    fetching = re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(https?:|//)"
    )
    for page in site.rglob("*.html"):
        assert not fetching.search(page.read_text("utf-8")), page
    for style in site.rglob("*.css"):
        assert not re.search(
            r"(?:url\(|@import )[\"']?https?:", style.read_text("utf-8")
        )


@pytest.mark.parametrize(
    ("page", "complaints"),
    [
        ("[a](nowhere.md) [b](#nobody)", ["nowhere.md", "#nobody"]),
        ("::: sharray.nowhere", ["sharray.nowhere"]),
    ],
    ids=["links", "names"],
)
def test_the_build_fails_on_what_leads_nowhere(
    tmp_path: Path, page: str, complaints: list[str]
) -> None:
    (tmp_path / "docs" / "styles").mkdir(parents=True)
    (tmp_path / "docs" / "styles" / "extra.css").touch()
    (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n{page}\n")
    config = {
        "INHERIT": str(REPOSITORY / "mkdocs.yml"),
        "docs_dir": "docs",
        "nav": ["index.md"],
    }
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    for complaint in complaints:
        assert re.search(rf"^(WARNING|ERROR) .*{complaint}", done.stderr, re.MULTILINE)


def test_files_that_the_walks_name_are_there() -> None:
    names = re.findall(r"`([\w/]+\.py)`", (DOCS / "internals.md").read_text("utf-8"))
    assert len(names) > 40
    package = Path(sh.__file__).parent
    missing = [
        one
        for one in names
        if not (package / one).is_file() and not (REPOSITORY / one).is_file()
    ]
    assert missing == []
