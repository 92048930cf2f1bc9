"""The house keeps its shape: sizes, names, folders, commands and documents that stay true."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from deploy.cli import app

ROOT = Path(__file__).parents[2]
PACKAGES = ("rules", "drivers", "edge_agent", "hub", "web", "simulators", "deploy")
FILE_LINES_MAX = 400
TEST_LINES_MAX = 600
FUNCTION_LINES_MAX = 50
BROAD_EXCEPTS_MAX = 8  # one supervisor loop per process
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "GLOSSARY.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
EMPTY_WORDS = {"manager", "helper", "handler", "util", "utils", "helpers", "common", "misc"}


def _files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = sorted(_files(*PACKAGES))


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_file_and_its_functions_stay_small(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


def test_test_files_stay_small() -> None:
    assert not [_name(path) for path in _files("tests") if path.read_text("utf-8").count("\n") > TEST_LINES_MAX]


def test_no_empty_word_names_a_file_or_a_class() -> None:
    named = [path for path in SOURCES if set(path.stem.lower().split("_")) & EMPTY_WORDS]
    classes = [
        f"{_name(path)}: {found}"
        for path in SOURCES
        for found in re.findall(r"^class (\w+)", path.read_text("utf-8"), re.MULTILINE)
        if re.search(r"(Manager|Helper|Handler|Util|Base)(Error)?$", found)
    ]
    assert (named, classes) == ([], [])


def test_broad_excepts_are_few() -> None:
    broad = [_name(path) for path in SOURCES if re.search(r"except (Base)?Exception\b", path.read_text("utf-8"))]
    assert len(broad) <= BROAD_EXCEPTS_MAX, broad


def test_no_blanket_exemption_from_the_checks() -> None:
    blanket = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:))|^\s*# (ruff|mypy): ", re.MULTILINE)
    assert not [_name(path) for path in [*SOURCES, *_files("tests")] if blanket.search(path.read_text("utf-8"))]


def test_chinese_sentences_have_chinese_punctuation() -> None:
    texts = [*SOURCES, *(ROOT / "rules" / "definitions").glob("*.yaml"), *(ROOT / "deploy" / "sites").iterdir()]
    half_width = re.compile(r"[\u4e00-\u9fff\u201d][,;!?]")
    assert not [_name(path) for path in texts if half_width.search(path.read_text("utf-8"))]


def test_architecture_names_every_folder() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    folders = {path.parent for path in SOURCES if path.name == "__init__.py"}
    missing = [_name(folder) for folder in sorted(folders) if f"`{_name(folder)}/`" not in text]
    assert missing == []


def test_the_documents_are_there() -> None:
    assert not [name for name in DOCUMENTS if not (ROOT / name).is_file()]


def test_every_runtime_dependency_has_its_reason() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    wanted = re.search(
        r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert wanted is not None
    names = re.findall(r'"([a-z0-9-]+)', wanted[1])
    assert len(names) > 10
    assert not [name for name in names if f"`{name}`" not in text]


def test_no_lock_file_names_a_host() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert "uv.lock" not in tracked
    assert "resolved" not in (ROOT / "web" / "package-lock.json").read_text("utf-8")
    assert "http" not in "".join(
        line for line in (ROOT / "requirements" / "dev.txt").read_text("utf-8").splitlines() if "://" in line
    )


def _commands(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(words), str(getattr(command, "help", ""))
        return
    for name, child in children.items():
        yield from _commands(child, (*words, name))


COMMANDS = dict(_commands(get_command(app), ("plantroom",)))


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_shows_an_example(words: str) -> None:
    assert f"Example: {words}" in " ".join(COMMANDS[words].split())
