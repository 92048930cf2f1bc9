"""Requests that people write themselves (通用审批): what they ask, why, for how much, where."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID, uuid4

from hub.approvals import service as approvals
from hub.approvals.definitions import book, today
from hub.approvals.rows import Place, Subject
from hub.approvals.views import life
from hub.errors import ConflictError, InvalidError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow.definition import Flow

SQL = queries(__package__)
TITLE_CHARACTERS_MAX = 200
TEXT_CHARACTERS_MAX = 5_000
AMOUNT_BELOW = Decimal(10) ** 12
PLACES_MAX = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form sends: the kind of request, a title, an explanation, an amount as it was typed, the site."""

    kind: str
    title: str
    text: str
    amount: str = ""
    site_id: UUID | None = None


async def kinds(tx: Transaction, now: datetime) -> dict[str, Flow]:
    """Give the flows by kind that a request can be written for by hand today."""
    found = await book(tx, await today(tx, now))
    return {kind: flow for kind, flow in found.flows.items() if flow.form is not None and kind in found.in_force}


async def places(tx: Transaction) -> list[Place]:
    """Give the sites where the asking person works."""
    return await tx.all(Place, SQL["places"])


async def ask(tx: Transaction, asked: Asked, now: datetime, previous: int | None = None) -> int:
    """Submit a request; gives its number.  Raises InvalidError, ConflictError or ForbiddenError."""
    return await approvals.submit(tx, await _subject(tx, asked, str(uuid4()), now), now, previous)


async def change(tx: Transaction, number: int, asked: Asked, now: datetime) -> None:
    """Change one's own request before it is used; what was decided is void.  Raises NotFoundError or ConflictError."""
    held = await life(tx, number, now)
    if not held.may_change or held.stored.kind != asked.kind:
        raise ConflictError("This request cannot be changed here.")
    await approvals.change(tx, await _subject(tx, asked, held.stored.subject_id, now), now)


async def _subject(tx: Transaction, asked: Asked, identity: str, now: datetime) -> Subject:
    flow = (await kinds(tx, now)).get(asked.kind)
    if flow is None:
        raise InvalidError("Choose what kind of request it is.")
    title, text = " ".join(asked.title.split()), asked.text.strip()
    if not 1 <= len(title) <= TITLE_CHARACTERS_MAX:
        raise InvalidError(f"A title has 1 to {TITLE_CHARACTERS_MAX} characters.")
    if not 1 <= len(text) <= TEXT_CHARACTERS_MAX:
        raise InvalidError(f"Say what is asked and why, in 1 to {TEXT_CHARACTERS_MAX} characters.")
    here = await places(tx)
    place = next((one for one in here if one.id == asked.site_id), None)
    if asked.site_id is not None and place is None:
        raise InvalidError("Choose a site where you work.")
    amount, currency = None, None
    if flow.form == "amount":
        amount = _amount(asked.amount)
        currency = (place or here[0]).currency if here else None
        if currency is None:
            raise InvalidError("There is no site yet whose currency an amount could have; register one first.")
    content = {"title": title, "text": text}
    return Subject(asked.kind, identity, title, title, content, asked.site_id, None, amount, currency)


def _amount(typed: str) -> Decimal:
    plain = typed.replace(",", "").replace(" ", "").strip()
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        raise InvalidError("Write the amount as a number, like 1280.50.") from None
    exponent = amount.as_tuple().exponent
    if (
        not amount.is_finite()
        or not 0 < amount < AMOUNT_BELOW
        or not isinstance(exponent, int)
        or exponent < -PLACES_MAX
    ):
        raise InvalidError(
            "An amount is more than nothing, has two decimal places at most, and is less than a trillion."
        )
    return amount
