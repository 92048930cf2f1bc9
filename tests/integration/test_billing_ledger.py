"""The database refuses what would spoil the ledger, whoever asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg
import pytest

from hub.errors import ConflictError, InvalidError
from hub.ledger import service as ledger
from hub.store.database import Database, Transaction
from rules.money.posting import Posting, credit, debit
from tests.builders import ENGINEER, Park

DAY = date(2026, 11, 2)


@asynccontextmanager
async def books(database: Database, park: Park) -> AsyncIterator[Transaction]:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await ledger.open_accounts(tx)
        yield tx


def posting(amount: str = "109.00", currency: str = "CNY") -> Posting:
    return Posting((debit("1122", Decimal(amount), currency), credit("6051.01", Decimal(amount), currency)))


async def post(tx: Transaction, said: Posting, source_id: UUID | None = None) -> UUID:
    return await ledger.post(
        tx, said, posted_on=DAY, source="invoice", source_id=source_id or uuid4(), description="test"
    )


async def test_a_posting_is_there_once_and_balances(database: Database, park: Park) -> None:
    source = uuid4()
    async with books(database, park) as tx:
        await post(tx, posting(), source)
        await post(tx, posting("0.01"))
    async with database.transaction(park.organisation, ENGINEER) as tx:
        balances = await ledger.trial_balance(tx)
        lines = await ledger.lines_of(tx, "invoice", source)
    assert ledger.balanced(balances)
    assert [(row.account, row.balance) for row in balances] == [
        ("1122", Decimal("109.01")),
        ("6051.01", Decimal("-109.01")),
    ]
    assert [(line.account, line.debit, line.credit) for line in lines] == [
        ("1122", Decimal(109), 0),
        ("6051.01", 0, Decimal(109)),
    ]
    with pytest.raises(ConflictError, match="has its posting already"):
        async with database.transaction(park.organisation, ENGINEER) as tx:
            await post(tx, posting(), source)


async def test_two_currencies_in_one_posting_are_refused(database: Database, park: Park) -> None:
    both = Posting(posting().entries + posting(currency="EUR").entries)
    async with books(database, park) as tx:
        with pytest.raises(InvalidError, match="this one has CNY, EUR"):
            await post(tx, both)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE posting_lines SET debit = 1 WHERE debit > 0", "written once for ever"),
        ("DELETE FROM posting_lines", "written once for ever"),
        ("UPDATE postings SET posted_on = '2020-01-01'", "written once for ever"),
        ("DELETE FROM postings", "written once for ever"),
        ("TRUNCATE postings CASCADE", "written once for ever"),
    ],
)
async def test_even_the_owner_cannot_change_or_delete_a_posting(
    database: Database, park: Park, statement: str, said: str
) -> None:
    async with books(database, park) as tx:
        await post(tx, posting())
    with psycopg.connect(park.dsns.owner) as connection, pytest.raises(psycopg.errors.RestrictViolation, match=said):
        connection.execute(statement)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        assert ledger.balanced(await ledger.trial_balance(tx))


@pytest.mark.parametrize("verb", ["UPDATE posting_lines SET debit = 1", "DELETE FROM postings"])
async def test_the_program_has_not_even_the_right_to_try(database: Database, park: Park, verb: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with books(database, park) as tx:
            await tx.run(verb.encode())


async def add_lines(tx: Transaction, posting_id: UUID, lines: list[tuple[str, str, str]]) -> None:
    for n, (account, debited, credited) in enumerate(lines, 10):
        row = {"posting": posting_id, "line": n, "account": account, "debit": debited, "credit": credited}
        await tx.run(ledger.SQL["add_line"], {**row, "tenant": None, "lease": None})


async def post_by_hand(database: Database, park: Park, lines: list[tuple[str, str, str]]) -> None:
    async with books(database, park) as tx:
        head = {"posted_on": DAY, "currency": "CNY", "source": "by hand", "source_id": uuid4(), "description": "x",
                "lines": 2}  # fmt: skip
        await add_lines(tx, await tx.value(ledger.SQL["add_posting"], head), lines)


@pytest.mark.parametrize("lines", [[("1122", "100.00", "0"), ("6051.01", "0", "99.99")], [("1122", "100.00", "0")], []])
async def test_what_does_not_balance_cannot_be_committed(
    database: Database, park: Park, lines: list[tuple[str, str, str]]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="does not balance"):
        await post_by_hand(database, park, lines)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        assert await ledger.trial_balance(tx) == []


@pytest.mark.parametrize("late", [[("1122", "1.00", "0")], [("1122", "1.00", "0"), ("6051.01", "0", "1.00")]])
async def test_lines_added_later_to_a_posting_are_refused_even_if_they_balance(
    database: Database, park: Park, late: list[tuple[str, str, str]]
) -> None:
    async with books(database, park) as tx:
        posting_id = await post(tx, posting())
    with pytest.raises(psycopg.errors.CheckViolation, match="does not balance"):
        async with books(database, park) as tx:
            await add_lines(tx, posting_id, late)
