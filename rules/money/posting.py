"""Balanced double-entry postings: built whole or not at all.

An invoice of 1,000.00 rent at 9 % and 200.00 electricity at 13 % posts

| account | debit | credit |
|---|---|---|
| 1122 receivable | 1,316.00 | |
| 6051.01 rent income | | 1,000.00 |
| 6051.02 recovered electricity | | 200.00 |
| 2221.01 output VAT | | 116.00 |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from rules.model.definition import Definition, InvalidDefinitionError, check


class AccountKind(StrEnum):
    """On which side of the books an account stands."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"


class Account(Definition):
    """One account of the chart; ``role`` is how the program finds it (receivable, output_vat, income:rent …)."""

    name_zh: str
    name_en: str
    kind: AccountKind
    role: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a posting: exactly one of debit and credit is above zero."""

    account: str
    currency: str
    debit: Decimal
    credit: Decimal


class UnbalancedError(ValueError):
    """The entries do not balance: nothing may be written."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Entries that sum to zero in every currency; anything else cannot be built."""

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if len(self.entries) < 2:  # noqa: PLR2004 - double entry
            raise UnbalancedError("a posting needs at least two entries, one on each side")
        for entry in self.entries:
            if min(entry.debit, entry.credit) != 0 or max(entry.debit, entry.credit) <= 0:
                raise UnbalancedError(f"account {entry.account} needs one amount above zero, on one side")
        for currency in sorted({entry.currency for entry in self.entries}):
            off = sum((e.debit - e.credit for e in self.entries if e.currency == currency), Decimal(0))
            if off:
                raise UnbalancedError(f"debit and credit differ by {off} {currency}; nothing is posted")


def parse_accounts(data: Mapping[str, Any]) -> Mapping[str, Account]:
    """Give the chart of accounts by code; raises InvalidDefinitionError with a sentence for every problem."""
    accounts = check(TypeAdapter(dict[str, Account]), data, "accounts")
    roles = [account.role for account in accounts.values()]
    twice = sorted({role for role in roles if roles.count(role) > 1})
    if twice:
        raise InvalidDefinitionError(
            [f"accounts: role '{role}' stands twice; a role has one account." for role in twice]
        )
    return accounts


def account_of(accounts: Mapping[str, Account], role: str) -> str:
    """Give the code of the account with ``role``; raises InvalidDefinitionError when the chart has none."""
    for code, account in accounts.items():
        if account.role == role:
            return code
    raise InvalidDefinitionError([f"accounts: no account has the role '{role}'; add one."])


def debit(account: str, amount: Decimal, currency: str) -> Entry:
    """Give a debit; an amount below zero becomes a credit."""
    return _entry(account, amount, currency)


def credit(account: str, amount: Decimal, currency: str) -> Entry:
    """Give a credit; an amount below zero becomes a debit."""
    return _entry(account, -amount, currency)


def _entry(account: str, signed: Decimal, currency: str) -> Entry:
    return Entry(account, currency, max(signed, Decimal(0)), max(-signed, Decimal(0)))


def balance(entries: Iterable[Entry]) -> Posting:
    """Join the entries of one account and currency, drop what comes to nothing, give the balanced posting.

    Raises UnbalancedError when the entries do not balance.
    """
    sums: dict[tuple[str, str], Decimal] = {}
    for entry in entries:
        key = (entry.account, entry.currency)
        sums[key] = sums.get(key, Decimal(0)) + entry.debit - entry.credit
    return Posting(tuple(_entry(account, amount, currency) for (account, currency), amount in sums.items() if amount))


def invoice_posting(
    incomes: Sequence[tuple[str, Decimal]], tax: Decimal, currency: str, receivable: str, output_vat: str
) -> Posting:
    """Post an invoice: its gross to the receivable, each (income account, net) and the tax against it."""
    gross = sum((net for _, net in incomes), tax)
    credits_ = [credit(account, net, currency) for account, net in incomes]
    return balance([debit(receivable, gross, currency), *credits_, credit(output_vat, tax, currency)])
