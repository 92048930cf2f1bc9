"""Every statement that writes is recorded: whoever runs it writes the record too, or is called by nobody who does not.

Read from the code: every named statement that writes, in every function of hub/, and who calls whom.  What need not be
in the record stands below with its reason; a new statement that writes and is in neither fails.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from hub.store.sql import parse

ROOT = Path(__file__).parents[2]
WRITES = re.compile(r"\b(INSERT INTO|DELETE FROM|UPDATE\s+(ONLY\s+)?\w+(\s+(AS\s+)?\w+)?\s+SET)\b", re.IGNORECASE)
RECORD = "hub.audit.service.record"
TABLES = {"hub.jobs.service.Work.jobs", "hub.main.run"}  # name everything and vouch for nothing

READINGS = "readings and their bookkeeping: each is its own evidence, and there are thousands a second"
WORKED_OUT = "worked out from readings; what changes stands in consumption_changes, beside it"
SIGNS_OF_LIFE = "what a gateway or device says of itself; a change of how it is read is recorded by a trigger"
OF_A_RULE = "a rule's judgement; alarm_events is its journal, written beside it"
OUTBOX = "the act that a mail tells of is recorded; what became of the mail stands in its row"
UNRECORDED: dict[str, str] = {
    "audit.record": "the record itself",
    "audit.seal": "the chain over the record",
    "access.touch": "when a session was used last",
    "access.drop_expired": "sessions that were over already",
    "access.drop_invitations": "links that were over already",
    "access.drop_throttles": "counts of attempts that count no more",
    "access.put_group": "a group is no organisation's, so no record is its own; who joins it is recorded",
    "access.revoke_tokens": "its caller's act is recorded",
    "access.drop_departures": "browsers that never came back from another sign-in",
    "access.depart": "a browser that is sent to another sign-in; who comes back is recorded",
    "access.come_back": "used up by coming back; who is let in is recorded, who is not stands in the security log",
    "access.look_at": "which site a session looks at; it shows no more than its user may see",
    "alarms.put_state": OF_A_RULE,
    "alarms.drop_withdrawn": OF_A_RULE,
    "alarms.raise_alarm": OF_A_RULE,
    "alarms.clear_alarm": OF_A_RULE,
    "alarms.write_journal": OF_A_RULE,
    "commands.send": "a command goes out; that it was given is recorded, when it was sent stands in its row",
    "health.put_mark": "when a job or a backup ran last; a backup is recorded with every organisation",
    "ingest.put_line": SIGNS_OF_LIFE,
    "ingest.silence_devices": SIGNS_OF_LIFE,
    "ingest.set_device_online": SIGNS_OF_LIFE,
    "ingest.put_point": SIGNS_OF_LIFE,
    "ingest.store_staged": READINGS,
    "ingest.move_latest": READINGS,
    "ingest.mark_dirty": READINGS,
    "ingest.quarantine": READINGS,
    "ingest.put_stranger": SIGNS_OF_LIFE,
    "ingest.hold_frame": READINGS,
    "ingest.drop_held": READINGS,
    "ingest.trim_held": READINGS,
    "ingest.forget_strangers": "speakers that are registered by now; that is recorded",
    "jobs.take_marks": READINGS,
    "jobs.mark_hours": READINGS,
    "jobs.take_hours": READINGS,
    "jobs.fetch_samples": READINGS,
    "jobs.fetch_hours": READINGS,
    "jobs.put_hours": READINGS,
    "jobs.drop_hours": READINGS,
    "jobs.mark_days": READINGS,
    "jobs.take_days": READINGS,
    "jobs.put_days": READINGS,
    "jobs.drop_days": READINGS,
    "jobs.drop_all_days": READINGS,
    "jobs.pass_points": READINGS,
    "jobs.end_zone": READINGS,
    "jobs.drop_quarantine": READINGS,
    "jobs.miss_gateways": SIGNS_OF_LIFE,
    "ledger.open_account": "the chart of accounts comes with the program",
    "metering.mark": READINGS,
    "metering.take_marks": READINGS,
    "metering.add_fact": WORKED_OUT,
    "metering.change_fact": WORKED_OUT,
    "metering.add_change": "the trace of what a recomputation changed",
    "metering.confirm_fact": WORKED_OUT,
    "metering.settle": WORKED_OUT,
    "notify.put": OUTBOX,
    "notify.claim": OUTBOX,
    "notify.sent": OUTBOX,
    "notify.failed": OUTBOX,
    "notify.give_up": OUTBOX,
    "notify.drop_old": OUTBOX,
    "work.link": "an alarm joins the open order of its fault; the link is shown with both",
    "work.explain": "why nobody was found for an order; it stands in the order",
}


@dataclass
class Function:
    """A function of ours: which statements it runs and whom it calls, by dotted name."""

    queries: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)


@cache
def statements() -> dict[str, bytes]:
    """Every named statement, as slice.name."""
    return {
        f"{file.parent.name}.{name}": query
        for file in (ROOT / "hub").glob("*/queries.sql")
        for name, query in parse(file.read_text("utf-8"), file.parent.name).items()
    }


@cache
def writing() -> frozenset[str]:
    """Those that write."""
    return frozenset(name for name, query in statements().items() if WRITES.search(re.sub(r"--.*", "", query.decode())))


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
    return found


def _defined(tree: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}.{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _defined(node, f"{prefix}.{node.name}")


def _words(node: ast.AST) -> Iterator[str]:
    """Every text in a function that may name a statement: not the keys of parameters."""
    keys = {id(key) for part in ast.walk(node) if isinstance(part, ast.Dict) for key in part.keys}
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in keys:
            yield re.escape(part.value)
        elif isinstance(part, ast.JoinedStr):
            yield "".join(re.escape(str(one.value)) if isinstance(one, ast.Constant) else ".+" for one in part.values)


def _read(
    node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, module: str, known: dict[str, str], here: set[str]
) -> Function:
    """What is named counts as called, for a function may be handed on; so does what a statement is named."""
    found = Function()
    owner = name.rpartition(".")[0]
    if any(isinstance(part, ast.Name) and part.id == "SQL" for part in ast.walk(node)):
        slice_ = known.get("SQL", module).split(".")[1]
        words = [re.compile(rf"{slice_}\.{word}") for word in _words(node)]
        found.queries = {one for one in statements() if any(word.fullmatch(one) for word in words)}
    for part in ast.walk(node):
        match part:
            case ast.Attribute(value=ast.Name(id="self"), attr=attr):
                found.calls.add(f"{owner}.{attr}")
            case ast.Attribute(value=ast.Name(id=alias), attr=attr) if alias in known:
                found.calls.add(f"{known[alias]}.{attr}")
            case ast.Name(id=other, ctx=ast.Load()):
                found.calls.add(f"{module}.{other}" if f"{module}.{other}" in here else known.get(other, ""))
    return found


@cache
def functions() -> dict[str, Function]:
    """Every function of the programs by its dotted name."""
    found: dict[str, Function] = {}
    for path in [p for folder in ("hub", "web", "deploy") for p in (ROOT / folder).rglob("*.py")]:
        module, tree = _module(path), ast.parse(path.read_text("utf-8"))
        known = _imports(tree)
        defined = dict(_defined(tree, module))
        for name, node in defined.items():
            found[name] = _read(node, name, module, known, set(defined))
    return found


@cache
def recording() -> frozenset[str]:
    """Every function from which the record is reached by calls."""
    found = {RECORD}
    while True:
        more = {name for name, one in functions().items() if one.calls & found} - found
        if not more:
            return frozenset(found)
        found |= more


def recorded(name: str, asked: frozenset[str] = frozenset()) -> bool:
    """Whether a function's writes are recorded: by itself and what it calls, or by everybody who calls it."""
    if name in recording():
        return True
    callers = {other for other, one in functions().items() if name in one.calls} - asked - {name} - TABLES
    return bool(callers) and all(recorded(caller, asked | {name}) for caller in callers)


def runs() -> list[tuple[str, str]]:
    return sorted((query, name) for name, one in functions().items() for query in one.queries & writing())


@pytest.mark.parametrize(("query", "name"), runs())
def test_what_is_written_is_recorded(query: str, name: str) -> None:
    if query not in UNRECORDED:
        assert recorded(name), f"{name} runs {query}, and neither it nor every caller writes the record"


def test_the_reading_of_the_code_sees_what_there_is() -> None:
    assert len(writing()) > 50
    assert len(functions()) > 500
    assert recorded("hub.alarms.service.acknowledge")
    assert recorded("hub.billing.service._issue")
    assert not recorded("hub.jobs.rollups.rebuild")


def test_every_statement_that_writes_is_run_by_some_function() -> None:
    assert sorted(writing() - {query for query, _ in runs()}) == []


def test_what_need_not_be_recorded_is_there_and_says_why() -> None:
    assert sorted(set(UNRECORDED) - writing()) == []
    assert all(len(reason) > 10 for reason in UNRECORDED.values())
