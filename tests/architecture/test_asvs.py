"""The security documents say what is true: complete lists, true counts, tests that exist, constants of the code."""

import ast
import importlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECURITY = ROOT / "deploy" / "security"
DOCUMENTS = (SECURITY / "asvs.md", SECURITY / "policy.md", ROOT / "THREATS.md")
STATUSES = {"met", "open", "n/a"}
ASKS_WORDS_MAX = 15
REASON_CHARACTERS_MIN = 5
SHARE_MIN = 0.95  # of the applicable points
HEAD = re.compile(
    r"^(\d+) points: (\d+) not applicable, (\d+) applicable, (\d+) met, (\d+) open\. Met of applicable: ([\d.]+) %\.$",
    re.MULTILINE,
)
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
CONSTANT = re.compile(r"^\| `([\w.]+)` \| `([^`]+)` \|", re.MULTILINE)
HEADING = re.compile(r"^## (.+): (V.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the list."""

    id: str
    level: str
    asks: str
    status: str
    how: str
    tests: str


@cache
def points() -> tuple[Point, ...]:
    text = DOCUMENTS[0].read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| V")]
    return tuple(Point(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines)


@cache
def named_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_every_point_of_the_standard_is_listed_once_with_its_level() -> None:
    wanted = [tuple(line.split()) for line in (SECURITY / "asvs_ids.txt").read_text("utf-8").splitlines()]
    assert len(wanted) == len({id_ for id_, _ in wanted}) == 253
    assert [(point.id, point.level) for point in points()] == wanted


def test_every_point_says_what_its_status_asks_for() -> None:
    for point in points():
        assert point.status in STATUSES, point.id
        assert 0 < len(point.asks.split()) <= ASKS_WORDS_MAX, point.id
        assert len(point.how) >= REASON_CHARACTERS_MIN or point.status == "met", point.id
        assert bool(NAMED_TEST.findall(point.tests)) == (point.status == "met"), point.id


def test_the_counts_at_the_head_are_true() -> None:
    found = HEAD.search(DOCUMENTS[0].read_text("utf-8"))
    assert found is not None
    count = {status: sum(point.status == status for point in points()) for status in STATUSES}
    applicable = count["met"] + count["open"]
    said = (*map(int, found.groups()[:5]), found[6])
    share = f"{100 * count['met'] / applicable:.1f}"
    assert said == (len(points()), count["n/a"], applicable, count["met"], count["open"], share)


def test_nearly_all_of_what_applies_is_met() -> None:
    applicable = [point for point in points() if point.status != "n/a"]
    assert sum(point.status == "met" for point in applicable) >= SHARE_MIN * len(applicable)


def test_every_test_that_the_documents_name_exists() -> None:
    missing = [
        f"{document.name}: {path}::{name}"
        for document in DOCUMENTS
        for path, name in NAMED_TEST.findall(document.read_text("utf-8"))
        if not (ROOT / path).is_file() or name not in named_in(path)
    ]
    assert missing == []


def test_the_policy_answers_every_point_that_wants_something_written() -> None:
    answered = {
        (id_, title) for title, ids in HEADING.findall(DOCUMENTS[1].read_text("utf-8")) for id_ in ids.split(", ")
    }
    claimed = {
        (point.id, found[1]) for point in points() if (found := re.match(r"policy\.md, ([A-Z][a-z ]+)", point.how))
    }
    assert claimed
    assert claimed == answered


def test_the_policy_states_what_the_code_does() -> None:
    stated = CONSTANT.findall(DOCUMENTS[1].read_text("utf-8"))
    assert len(stated) > 20
    for name, value in stated:
        module, _, constant = name.rpartition(".")
        assert str(getattr(importlib.import_module(module), constant)) == value, name


def test_types_are_checked_strictly_and_dangerous_calls_are_looked_for() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert tools["mypy"]["strict"] is True
    assert not [one for one in tools["mypy"].get("overrides", ()) if one.get("ignore_errors")]
    lint = tools["ruff"]["lint"]
    assert lint["select"] == ["ALL"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S") and rule[1:].isdigit()] == ["S101"]
    kept = {
        folder: [rule for rule in rules if re.fullmatch(r"S\d*", rule)]
        for folder, rules in lint["per-file-ignores"].items()
    }
    assert {folder: rules for folder, rules in kept.items() if rules} == {
        "tests/**": ["S"],
        "simulators/**": ["S311"],  # chance with a seed
        "deploy/**": ["S603", "S607"],  # starts programs by argument lists
    }
