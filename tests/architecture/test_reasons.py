"""The acts that need a reason are acts that the hub records, and their callers hand a reason on."""

import ast
from collections.abc import Iterator
from pathlib import Path

from hub.audit import reasons

HUB = Path(__file__).parents[2] / "hub"


def _recorded() -> Iterator[tuple[set[str], bool]]:
    """Every call that writes the record: the words of the function around it, and whether it hands a reason on."""
    for path in HUB.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.AsyncFunctionDef):
                continue
            words = {one.value for one in ast.walk(function) if isinstance(one, ast.Constant)}
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in ("audit.record", "_record"):
                    yield {str(word) for word in words}, any(one.arg == "reason" for one in call.keywords)


def test_every_act_that_needs_a_reason_is_recorded_with_one() -> None:
    recorded = list(_recorded())
    assert len(reasons.asked()) > 5
    for _, action in reasons.asked():
        said = action.partition(",")[0]
        found = [reason for words, reason in recorded if said in words]
        assert found, f"no act is called '{action}'"
        assert any(found), f"'{action}' is recorded without a reason"
