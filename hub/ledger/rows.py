"""Rows of the ledger."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class PostingLine:
    """One line of a posting with its account's names."""

    posting_id: UUID
    posted_on: date
    currency: str
    line: int
    account: str
    name_zh: str
    name_en: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """What one account has seen in one currency; ``balance`` is debit less credit."""

    account: str
    name_zh: str
    name_en: str
    currency: str
    debit: Decimal
    credit: Decimal
    balance: Decimal
