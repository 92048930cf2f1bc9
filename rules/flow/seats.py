"""Who may decide a request now: the nearest first, others where those are too few, deputies for their principals."""

from dataclasses import dataclass
from datetime import datetime

from rules.flow.definition import Step
from rules.flow.request import Request
from rules.flow.roster import Roster


@dataclass(frozen=True, slots=True)
class Seat:
    """Somebody who may decide, in his own name or on behalf of ``principal``."""

    login: str
    principal: str | None = None


def barred(request: Request) -> frozenset[str]:
    """Give who may not decide: the authors always; who decided before, in any step or (without four eyes) in this."""
    used = [
        decision.eyes
        for decision in request.counted
        if request.version.four_eyes or decision.step == request.step
    ]  # fmt: skip
    return frozenset(request.authors).union(*used)


def reach(request: Request, roster: Roster) -> frozenset[str]:
    """Give who holds the step: the nearest level that has enough people, with the escalation's if it was escalated.

    Those who decided this step already are among them: whom it reaches does not depend on who came first.
    """
    step = request.current
    away = _unavailable(request)
    levels = [level - away for level in roster.outward(step.roles, step.where, request.facts)]
    held, rest = _gather(levels, max(1, request.needed))
    if not request.escalated or step.escalation is None:
        return held
    wanted = step.escalation
    if wanted.where is None:
        further = rest
    else:
        further = [level - away for level in roster.outward(wanted.roles, wanted.where, request.facts)]
    return held | next((level for level in further if level - held), frozenset())


def seats(request: Request, roster: Roster, at: datetime) -> tuple[Seat, ...]:
    """Give who may decide the step that waits, each seat once, in the order of logins."""
    if not request.open:
        return ()
    out = barred(request)
    free = reach(request, roster) - out
    found = [Seat(login) for login in free]
    if request.current.deputies:
        found += [
            Seat(one.deputy, one.principal)
            for one in roster.deputations
            if one.holds(at) and one.principal in free and one.deputy not in out and one.deputy in roster.logins
            and one.deputy != one.principal
        ]  # fmt: skip
    return tuple(sorted(set(found), key=lambda seat: (seat.login, seat.principal or "")))


def concerns(request: Request, roster: Roster, login: str, at: datetime) -> bool:
    """Whether a request is somebody's business: he wrote it, decided on it, or it comes by him on its way."""
    eyes = frozenset(request.authors).union(*(decision.eyes for decision in request.decisions))
    stands_in = {one.principal for one in roster.deputations if one.deputy == login and one.holds(at)}
    if login in eyes or login not in roster.logins:
        return login in eyes
    steps = [request.version.steps[place] for place in request.version.path(request.facts)]
    roles = {role for step in steps for role in (*step.roles, *(step.escalation.roles if step.escalation else ()))}
    return any(
        held.role in roles and held.covers(request.facts)
        for person in roster.people
        if person.login in {login, *stands_in}
        for held in person.holdings
    )


def short_of(request: Request, roster: Roster) -> bool:
    """Whether the step lacks people even if everybody whom it reaches decides."""
    return request.given + len(reach(request, roster) - barred(request)) < request.needed


def wanted(step: Step, request: Request, roster: Roster) -> int:
    """Give how many people a step needs as it begins; at least one."""
    if isinstance(step.needs, int):
        return step.needs
    if step.needs == "one":
        return 1
    away = _unavailable(request)
    levels = [level - away for level in roster.outward(step.roles, step.where, request.facts)]
    return max(1, len(next((level for level in levels if level), frozenset())))


def _unavailable(request: Request) -> frozenset[str]:
    """Give who is out whatever happens in this step: authors, and with four eyes whoever decided another step."""
    others = [decision.eyes for decision in request.counted if decision.step != request.step]
    return frozenset(request.authors).union(*(others if request.version.four_eyes else ()))


def _gather(levels: list[frozenset[str]], needed: int) -> tuple[frozenset[str], list[frozenset[str]]]:
    """Join levels until there are ``needed`` people; give them and the levels further out."""
    held: frozenset[str] = frozenset()
    for place, level in enumerate(levels):
        held |= level
        if len(held) >= needed:
            return held, levels[place + 1 :]
    return held, []
