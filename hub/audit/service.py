"""Write the audit record, and look back."""

from typing import Any

from psycopg.types.json import Jsonb

from hub.audit.chain import SEAL_BATCH, seal, verify
from hub.audit.reasons import checked
from hub.audit.rows import Entry
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.secret import is_secret

__all__ = ["SEAL_BATCH", "SecretDetailError", "differences", "of_entity", "record", "seal", "verify"]

SQL = queries(__package__)


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
