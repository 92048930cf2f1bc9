"""An organisation's own versions of flows: proposed as text, approved as a change of a rule, then put in force."""

import difflib
import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from hub.access.rights import RIGHTS, Right
from hub.approvals import service as approvals
from hub.approvals.definitions import book, history, own_versions, today
from hub.approvals.rows import Dated, OwnVersion, Subject
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow.definition import Flow, Version
from rules.flow.text import InvalidFlowTextError, Problem, read, write

SQL = queries(__package__)
KIND = "rule_change"
OWN_MOST = 200


class UnreadableFlowError(InvalidError):
    """A text that is no flow; ``problems`` name each line that must be corrected."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(" ".join(f"Line {one.line}: {one.said}" for one in problems))
        self.problems = problems


async def draft(tx: Transaction, kind: str, now: datetime) -> str:
    """Give the text of the version in force, to begin a new one with; raises NotFoundError."""
    found = await book(tx, await today(tx, now))
    if kind not in found.flows:
        raise NotFoundError("There is no such flow.")
    version = found.in_force.get(kind) or found.flows[kind].versions[0]
    return write(kind, found.flows[kind].model_copy(update={"versions": (version,)}))


async def check(tx: Transaction, text: str, now: datetime) -> tuple[str, Flow]:
    """Read a proposed text; raises UnreadableFlowError with every problem that it has here and now."""
    try:
        kind, flow = read(text.replace("\r\n", "\n"))
    except InvalidFlowTextError as error:
        raise UnreadableFlowError(error.problems) from None
    version, day = flow.versions[0], await today(tx, now)
    problems = [Problem(_line(text, role), f"'{role}' is not a role that approves.") for role in _strange(version)]
    if version.valid_from < day:
        problems.append(Problem(_line(text, "valid_from"), f"It would hold from a past day; begin on {day} or later."))
    problems += [Problem(_line(text, what), f"There is a version with this '{what}'; choose another.")
                 for what in _taken(await history(tx, kind, day), version)]  # fmt: skip
    if problems:
        raise UnreadableFlowError(tuple(sorted(problems, key=lambda one: one.line)))
    return kind, flow


async def propose(tx: Transaction, text: str, now: datetime) -> tuple[OwnVersion, int | None]:
    """Propose a version; give it with the number of the request for its approval, None where none is needed.

    Raises ForbiddenError, or UnreadableFlowError with every problem.
    """
    _check_right(tx)
    kind, flow = await check(tx, text, now)
    if len(await own_versions(tx, kind)) >= OWN_MOST:
        raise ConflictError(f"A flow has at most {OWN_MOST} versions of one's own.")
    version = flow.versions[0]
    values = {
        "kind": kind, "version": version.version, "valid_from": version.valid_from, "written": text,
        "definition": Jsonb(flow.model_dump(mode="json", by_alias=True)), "by": tx.actor.name, "now": now,
    }  # fmt: skip
    made: UUID = await tx.value(SQL["propose"], values)
    about = {"kind": kind, "version": version.version, "valid_from": str(version.valid_from)}
    await audit.record(tx, "proposed", "flow version", made, about)
    row = await _one(tx, made)
    subject = await _subject(tx, row)
    if await approvals.governing(tx, subject, now) is None:
        return row, None
    return row, await approvals.submit(tx, subject, now)


async def adopt(tx: Transaction, version_id: UUID, now: datetime) -> OwnVersion:
    """Put a proposed version in force, from its first day; its approval is spent.

    Raises ForbiddenError, NotFoundError, or ConflictError where it is in force or the approval is missing.
    """
    _check_right(tx)
    row = await _one(tx, version_id)
    if row.adopted_at is not None:
        raise ConflictError("This version is in force already, from its first day.")
    await approvals.require(tx, await _subject(tx, row), now)
    try:
        await tx.run(SQL["adopt"], {"id": version_id, "by": tx.actor.name, "now": now})
    except UniqueViolation:
        raise ConflictError("Another version with this name or first day came into force meanwhile.") from None
    about = {"kind": row.kind, "version": row.version, "valid_from": str(row.valid_from)}
    await audit.record(tx, "put in force", "flow version", version_id, about)
    return await _one(tx, version_id)


async def _one(tx: Transaction, version_id: UUID) -> OwnVersion:
    found = await own_versions(tx, version_id=version_id)
    if not found:
        raise NotFoundError("There is no such version of a flow.")
    return found[0]


async def _subject(tx: Transaction, row: OwnVersion) -> Subject:
    """Give what is approved: the text, and which version it follows."""
    before = await book(tx, row.valid_from)
    followed = before.in_force.get(row.kind)
    flow = Flow.model_validate(row.definition)
    content = {
        "flow": row.kind, "version": row.version, "valid_from": row.valid_from,
        "replaces": followed.version if followed else None,
        "changes": _changes(row.kind, before.flows[row.kind], followed, flow) if followed else None,
        "definition": row.written,
    }  # fmt: skip
    return Subject(
        KIND, str(row.id), f"流程“{flow.name_zh}”新版本 {row.version}"[:200],
        f"New version {row.version} of the flow '{flow.name_en}'"[:200], content,
        link=f"/flows/{row.kind}",
    )  # fmt: skip


def _changes(kind: str, before: Flow, followed: Version, flow: Flow) -> str:
    """Give what differs from the version before, both written in one way."""
    was = write(kind, before.model_copy(update={"versions": (followed,)})).splitlines()
    lines = difflib.unified_diff(was, write(kind, flow).splitlines(), n=2, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++")))


def _check_right(tx: Transaction) -> None:
    if not tx.actor.may(Right.MANAGE_FLOWS):
        raise ForbiddenError("Only who looks after flows proposes and adopts versions of them.")


def _strange(version: Version) -> list[str]:
    """Give the roles that a version names and that have no inbox here."""
    named = [
        role
        for step in version.steps
        for role in (*step.roles, *(step.escalation.roles if step.escalation is not None else ()))
    ]
    return list(dict.fromkeys(role for role in named if Right.APPROVE not in RIGHTS.get(role, frozenset())))


def _taken(others: Sequence[Dated], version: Version) -> list[str]:
    """Give what another version has already: the name, or the first day of one's own."""
    held = [one for one in others if one.own is None or one.own.adopted_at is not None]
    name = any(one.version.version == version.version for one in held)
    day = any(one.version.valid_from == version.valid_from for one in held if one.own is not None)
    return ["version"] * name + ["valid_from"] * day


def _line(text: str, word: str) -> int:
    found = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    return next((place for place, line in enumerate(text.splitlines(), 1) if found.search(line)), 1)
