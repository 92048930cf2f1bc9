"""Write the audit record, and look back."""

import json
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from hub.audit.reasons import checked
from hub.audit.rows import Entry, Sought
from hub.errors import InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.secret import is_secret

SQL = queries(__package__)
PAGE = 100
EXPORT_MAX = 10_000
TEXT_USUAL = timedelta(days=92)
TEXT_MOST = timedelta(days=366)
ID_MAX = 2**63 - 1


class SecretDetailError(Exception):
    """A bug of ours: somebody wanted to write a secret into the record."""


async def record(
    tx: Transaction,
    action: str,
    entity: str,
    entity_id: object,
    details: dict[str, Any] | None = None,
    *,
    reason: str = "",
) -> None:
    """Record that the transaction's actor did ``action``, from where, in which request, on whose behalf.

    ``details`` holds what changed (see ``differences``) and other facts, without secrets.  Raises InvalidError where
    policy asks for a ``reason`` and there is none.
    """
    _refuse_secrets(details)
    await tx.run(
        SQL["record"],
        {
            "organisation": tx.organisation,
            "actor": tx.actor.name,
            "on_behalf_of": tx.actor.on_behalf_of,
            "address": tx.actor.address,
            "request_id": tx.actor.request_id,
            "action": action,
            "entity": entity,
            "entity_id": str(entity_id),
            "details": Jsonb(details or {}),
            "reason": checked(entity, action, reason),
        },
    )


def _refuse_secrets(details: object) -> None:
    if isinstance(details, dict):
        for name, value in details.items():
            if is_secret(str(name)):
                raise SecretDetailError(f"The record must not carry '{name}'; leave it out or record its id.")
            _refuse_secrets(value)
    elif isinstance(details, list | tuple):
        for value in details:
            _refuse_secrets(value)


def differences(before: object, after: object, *names: str) -> dict[str, Any]:
    """Give those of the named attributes that changed, each with its value before and after, as details of an act.

    Nothing changed: gives {}.
    """
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    changed = {name: [_text(was), _text(now)] for name, was, now in pairs if was != now}
    return {"changed": changed} if changed else {}


def _text(value: object) -> str:
    return "" if value is None else str(value)


async def of_entity(tx: Transaction, entity: str, entity_id: object, most: int = 200) -> list[Entry]:
    """Give the life of one record, newest act first."""
    return await tx.all(Entry, SQL["of_entity"], {"entity": entity, "entity_id": str(entity_id), "most": most})


async def search(
    tx: Transaction, sought: Sought, now: datetime, *, before: int | None = None, most: int = PAGE
) -> list[Entry]:
    """Give acts of the transaction's organisation, newest first; ``before`` is the id of the last one already seen.

    Raises InvalidError for a text in a time so long that the whole record would be read, NotFoundError for a
    ``before`` that is no act.
    """
    sought = narrowed(sought, now)
    before_at = None if before is None else await tx.value(SQL["time_of"], {"id": min(before, ID_MAX)})
    if before is not None and before_at is None:
        raise NotFoundError("There is no such act in the record.")
    text = "".join(f"\\{c}" if c in "%_\\" else c for c in sought.text)
    asked = {
        **asdict(sought),
        "text": f"%{text}%" if text else "",
        "before": before,
        "before_at": before_at,
        "most": min(most, EXPORT_MAX),
    }
    return await tx.all(Entry, SQL["search"], asked, afresh=True)


def narrowed(sought: Sought, now: datetime) -> Sought:
    """Give what is sought with a beginning where a text needs one; raises InvalidError for more than TEXT_MOST."""
    if not sought.text:
        return sought
    end = sought.until or now
    if sought.since is None:
        return replace(sought, since=end - TEXT_USUAL)
    if end - sought.since > TEXT_MOST:
        raise InvalidError(f"A text is looked for in {TEXT_MOST.days} days at most; give a later beginning.")
    return sought


def cells(entry: Entry) -> dict[str, Any]:
    """Give an act as a row of a table."""
    return {**asdict(entry), "details": json.dumps(entry.details, ensure_ascii=False) if entry.details else ""}
