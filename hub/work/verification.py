"""Telemetry looks at what was reported as done."""

from datetime import datetime

from hub.store.database import Transaction
from hub.store.sql import queries
from hub.work.dispatch import send_back
from hub.work.rows import Order, Reported
from hub.work.transition import Note, Step, hold, take
from rules.detect.book import RuleBook
from rules.work.order import Status, Verb
from rules.work.verification import Evidence, Verdict, judge

SQL = queries(__package__)

_CLEARED = Note("遥测确认：告警已消除。", "Confirmed by telemetry: the alarm has cleared.")
_PERSISTS = Note("遥测显示故障仍然存在。", "Telemetry still shows the fault.")
SETTLE_S = 900  # for a rule that is no longer in the book


async def verify(tx: Transaction, book: RuleBook, now: datetime) -> list[Order]:
    """Verify or reopen the orders that technicians reported as done; give those that moved.

    A job calls this once a second under Role.APP.  An order that reopens keeps count and goes back to the same
    technician.  Orders without an alarm wait for an engineer.
    """
    moved = []
    for report in await tx.all(Reported, SQL["reported"]):
        verdict = _verdict(book, report, now)
        if verdict is Verdict.WAITING:
            continue
        order = await hold(tx, report.id)
        if order.status is Status.DONE:
            moved.append(await _settle(tx, order, verdict, now))
    return moved


def _verdict(book: RuleBook, report: Reported, now: datetime) -> Verdict:
    rule = book.version(report.rule, report.rule_version)
    settle_s = rule.work_order.settle_s if rule and rule.work_order else SETTLE_S
    off_delay_s = rule.off_delay_s if rule else 0
    evidence = Evidence(report.standing, report.clearing_since)
    return judge(report.done_at, settle_s, off_delay_s, evidence, now)


async def _settle(tx: Transaction, order: Order, verdict: Verdict, now: datetime) -> Order:
    if verdict is Verdict.VERIFIED:
        return await take(tx, order, Step(Verb.VERIFY, now, _CLEARED))
    reopened = await take(tx, order, Step(Verb.REOPEN, now, _PERSISTS))
    return await send_back(tx, reopened, now)
