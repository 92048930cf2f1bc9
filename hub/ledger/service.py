"""Keep the ledger: open its accounts, write balanced postings once for ever, prove that they balance."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from uuid import UUID

import yaml
from psycopg.errors import UniqueViolation

from hub.errors import ConflictError, InvalidError
from hub.ledger.rows import Balance, PostingLine
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.money.posting import Account, Posting, parse_accounts

SQL = queries(__package__)


@cache
def chart() -> Mapping[str, Account]:
    """Give the chart of accounts by code."""
    text = files("rules").joinpath("definitions", "accounts.yaml").read_text("utf-8")
    return parse_accounts(yaml.safe_load(text))


async def open_accounts(tx: Transaction) -> None:
    """Make sure that the organisation has every account of the chart."""
    rows = [{"code": code, "name_zh": a.name_zh, "name_en": a.name_en} for code, a in chart().items()]
    await tx.run_many(SQL["open_account"], rows)


async def post(
    tx: Transaction,
    posting: Posting,
    *,
    posted_on: date,
    source: str,
    source_id: UUID,
    description: str,
    tenant_id: UUID | None = None,
    lease_id: UUID | None = None,
) -> UUID:
    """Write a balanced posting in one currency and give its id; one posting per source.

    Raises ConflictError when ``source`` has its posting already, InvalidError for two currencies.
    """
    currencies = {entry.currency for entry in posting.entries}
    if len(currencies) != 1:
        raise InvalidError(f"A posting is in one currency, this one has {', '.join(sorted(currencies))}.")
    head = {"posted_on": posted_on, "currency": currencies.pop(), "source": source, "source_id": source_id,
            "description": description, "lines": len(posting.entries)}  # fmt: skip
    try:
        posting_id: UUID = await tx.value(SQL["add_posting"], head)
    except UniqueViolation as error:
        raise ConflictError(f"The {source} {source_id} has its posting already.") from error
    owner = {"posting": posting_id, "tenant": tenant_id, "lease": lease_id}
    lines = [
        {**owner, "line": n, "account": entry.account, "debit": entry.debit, "credit": entry.credit}
        for n, entry in enumerate(posting.entries, 1)
    ]
    await tx.run_many(SQL["add_line"], lines)
    return posting_id


async def lines_of(tx: Transaction, source: str, source_id: UUID) -> list[PostingLine]:
    """Give the lines that one source caused."""
    return await tx.all(PostingLine, SQL["lines_of"], {"source": source, "source_id": source_id})


async def trial_balance(tx: Transaction) -> list[Balance]:
    """Give what each account has seen, per currency; debits and credits are equal in sum."""
    return await tx.all(Balance, SQL["trial_balance"])


def balanced(balances: Sequence[Balance]) -> bool:
    """Whether a trial balance comes to zero in every currency."""
    off: dict[str, Decimal] = {}
    for row in balances:
        off[row.currency] = off.get(row.currency, Decimal(0)) + row.balance
    return not any(off.values())
