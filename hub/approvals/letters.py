"""What people are told by mail: something waits for them, something came of what they asked."""

from collections.abc import Iterable
from datetime import datetime

from hub.approvals.people import People
from hub.approvals.rows import Stored
from hub.notify import service as notify
from hub.notify.rows import Letter, Recipient
from hub.store.database import Transaction
from rules.flow.request import Request, State
from rules.flow.seats import Seat

MAILED_MAX = 50  # people, about one event

OUTCOMES = {
    State.APPROVED: ("已批准", "approved"),
    State.REJECTED: ("已驳回", "rejected"),
    State.EXPIRED: ("已过期", "expired"),
    State.SUPERSEDED: ("已被新的审批单取代", "replaced by a later request"),
}


async def ask(
    tx: Transaction, row: Stored, seats: Iterable[Seat], people: People, now: datetime, *, again: bool = False
) -> None:
    """Tell people that a request waits for them; ``again`` reminds them."""
    who = people.names.get(row.submitted_by, row.submitted_by)
    for seat in list(seats)[:MAILED_MAX]:
        name = people.names.get(seat.principal, seat.principal) if seat.principal else ""
        for_zh, for_en = (f"（代{name}）", f" on behalf of {name}") if name else ("", "")
        head_zh, head_en = ("催办：", "Reminder: ") if again else ("待您审批：", "For your approval: ")
        letter = Letter(
            f"{head_zh}#{row.number} {row.title_zh}",
            f"{head_en}#{row.number} {row.title_en}",
            f"{who}提交的审批单 #{row.number}“{row.title_zh}”等待您{for_zh}审批。{_amount(row, '金额：', '。')}",
            f"Request #{row.number}, '{row.title_en}', submitted by {who}, waits for your decision{for_en}."
            f"{_amount(row, ' Amount: ', '.')}",
            f"/approvals/{row.number}",
        )
        await _send(tx, seat.login, letter, people, now)


async def tell(tx: Transaction, row: Stored, request: Request, people: People, now: datetime, said: str = "") -> None:
    """Tell who submitted a request what came of it; ``said`` is the comment that came with the decision."""
    if request.state not in OUTCOMES:
        return
    came_zh, came_en = OUTCOMES[request.state]
    letter = Letter(
        f"{came_zh}：#{row.number} {row.title_zh}",
        f"{came_en.capitalize()}: #{row.number} {row.title_en}",
        f"您提交的审批单 #{row.number}“{row.title_zh}”{came_zh}。" + (f"\n\n意见：{said}" if said else ""),
        f"Your request #{row.number}, '{row.title_en}', is {came_en}." + (f"\n\nComment: {said}" if said else ""),
        f"/approvals/{row.number}",
    )
    await _send(tx, row.submitted_by, letter, people, now)


async def alarm(tx: Transaction, row: Stored, people: People, now: datetime) -> None:
    """Tell the administrators that nobody can decide a request."""
    letter = Letter(
        f"无人可审批：#{row.number} {row.title_zh}",
        f"Nobody can decide: #{row.number} {row.title_en}",
        f"审批单 #{row.number}“{row.title_zh}”当前节点无人可审批。请授予角色、设置代理人，或请提交人撤回。",
        f"Nobody can decide request #{row.number}, '{row.title_en}', as it stands. Grant a role, name a deputy, or ask "
        "its submitter to withdraw it.",
        f"/approvals/{row.number}",
    )
    heads = [
        person.login
        for person in people.roster.people
        if any(held.role == "administrator" and held.place is None for held in person.holdings)
    ]
    for login in heads[:MAILED_MAX]:
        await _send(tx, login, letter, people, now)


async def _send(tx: Transaction, login: str, letter: Letter, people: People, now: datetime) -> None:
    contact = people.contacts.get(login)
    if contact is not None and contact.email:
        await notify.mail(tx, Recipient(contact.email, contact.language), letter, now)


def _amount(row: Stored, before: str, after: str) -> str:
    return f"{before}{row.amount:,.2f} {row.currency}{after}" if row.amount is not None else ""
