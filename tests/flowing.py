"""Flows, people and requests for the tests of the approval engine."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from rules.flow.decision import Answer, begin, decide
from rules.flow.definition import Facts, Level, Version
from rules.flow.request import Request, Verdict
from rules.flow.roster import Deputation, Holding, Person, Roster
from rules.flow.seats import Seat

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
SITE, OTHER_SITE, BUILDING = "site-1", "site-2", "building-1"
FACTS = Facts(site=SITE, building=BUILDING, amount=Decimal(1000), currency="CNY")


def after(hours: float) -> datetime:
    """So many hours after the request."""
    return MONDAY + timedelta(hours=hours)


def step(code: str, roles: str = "manager", where: str = "site", **more: Any) -> dict[str, Any]:
    """A step as YAML gives it."""
    named = {"name_zh": code, "name_en": code}
    return {"code": code, **named, "roles": roles.split(), "where": where, **more}


def version(*steps: Mapping[str, Any], **more: Any) -> Version:
    """A version of these steps."""
    return Version.model_validate({"version": "1", "valid_from": date(2026, 1, 1), "steps": list(steps), **more})


def person(login: str, *roles: str) -> Person:
    """Somebody with roles written like manager, manager@site-1 or manager@building-1."""
    held = set()
    for said in roles:
        role, _, place = said.partition("@")
        level = Level.ORGANISATION if not place else Level(place.partition("-")[0])
        held.add(Holding(role, level, place if level in (Level.BUILDING, Level.SITE) else None))
    return Person(login, frozenset(held))


def deputy(principal: str, login: str, start: float = -24, end: float = 240) -> Deputation:
    """``login`` decides for ``principal`` between two hours after the request."""
    return Deputation(principal, login, after(start), after(end))


PEOPLE = (
    person("ann", "manager@site-1"),
    person("bob", "manager@site-1"),
    person("cho", "billing"),
    person("dan", "manager"),
    person("eve", "administrator"),
    person("fay", "engineer"),
)
ROSTER = Roster(PEOPLE)


def asked(by: Version, submitter: str = "fay", facts: Facts = FACTS, roster: Roster = ROSTER) -> Request:
    """A fresh request."""
    return begin(by, facts, "hash", submitter, roster, MONDAY)


def answer(request: Request, login: str, verdict: Verdict = Verdict.APPROVE, principal: str | None = None) -> Answer:
    """What somebody says who has the request before him as it is."""
    return Answer(login, verdict, request.content_hash, request.round, request.step, principal)


def approve(request: Request, *logins: str, roster: Roster = ROSTER, hours: float = 1) -> Request:
    """The request after these people approved it, each what he saw then."""
    for login in logins:
        name, _, principal = login.partition(" for ")
        request = decide(request, answer(request, name, principal=principal or None), roster, after(hours))
    return request


def names(found: tuple[Seat, ...]) -> list[str]:
    """Seats as words: 'bob' or 'bob for ann'."""
    return [f"{seat.login} for {seat.principal}" if seat.principal else seat.login for seat in found]
