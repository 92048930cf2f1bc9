"""What can happen to a request for approval.  Every function gives the request as it is afterwards.

A refusal raises RefusedError with one sentence that names nothing variable, so that pages can translate it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rules.flow.definition import Facts, Version, WithoutSteps
from rules.flow.request import Decision, RefusedError, Request, State, Verdict
from rules.flow.roster import Roster
from rules.flow.seats import Seat, barred, seats, short_of, wanted

ENDED = {
    State.APPROVED: "This request is approved already.",
    State.USED: "This request was approved, and what it asked for has been done.",
    State.REJECTED: "This request was rejected; a new one can be submitted in its place.",
    State.WITHDRAWN: "This request was withdrawn.",
    State.EXPIRED: "This request has expired; submit it anew.",
    State.SUPERSEDED: "A later request has taken the place of this one.",
}
NO_STEP = "No step of the flow applies to this; its definition has a gap that must be closed first."
CHANGED = "The content was changed after you opened it; read it again and decide then."
STEP_OVER = "This step has been decided meanwhile; reload the request to see where it stands."
OWN = "Who asks for something, or changed it, does not decide it."
DECIDED = "You, or somebody for you, decided on this request already; a second pair of eyes is needed."
NOT_YOURS = "This step is not yours to decide."
NOT_SUBMITTER = "Only who submitted a request can withdraw it."
NO_WITHDRAWAL = "Requests of this flow cannot be withdrawn."
NOT_YET = "This has not been approved yet; wait for the approval."
OTHER_CONTENT = "This is not what was approved; submit it as it is now for approval."
LAPSED = "The approval has lapsed without being used; submit it anew."


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody decides, and what he had before him: hash of the content, round, step."""

    login: str
    verdict: Verdict
    seen_hash: str
    round: int
    step: int
    principal: str | None = None


def begin(
    version: Version, facts: Facts, content_hash: str, submitter: str, roster: Roster, at: datetime
) -> Request:  # fmt: skip
    """Give a new request, in the first step that applies; raises RefusedError where the flow has a gap."""
    return _start(Request(version, facts, content_hash, (submitter,), at), roster, at)


def decide(request: Request, answer: Answer, roster: Roster, at: datetime) -> Request:
    """Take a decision into account; raises RefusedError for one that does not count."""
    _check_answer(request, answer, roster, at)
    decision = Decision(answer.login, answer.principal, answer.verdict, request.round, request.step, at)
    decided = replace(request, decisions=(*request.decisions, decision))
    if answer.verdict is Verdict.REJECT:
        return _end(decided, State.REJECTED, at)
    if decided.given < decided.needed:
        return decided
    return _enter_next(decided, decided.step + 1, roster, at)


def change(
    request: Request, facts: Facts, content_hash: str, author: str, roster: Roster, at: datetime
) -> Request:  # fmt: skip
    """Put other content before the approvers: every decision is void, the first step waits again.

    The version stays that of the submission.  The same content changes nothing.  Raises RefusedError for a request
    that is neither open nor approved.
    """
    if content_hash == request.content_hash:
        return request
    if request.state not in (State.OPEN, State.APPROVED):
        raise RefusedError(ENDED[request.state])
    authors = (*request.authors, *({author} - set(request.authors)))
    anew = replace(request, facts=facts, content_hash=content_hash, authors=authors, round=request.round + 1)
    return _start(replace(anew, state=State.OPEN, ended_at=None), roster, at)


def withdraw(request: Request, login: str, at: datetime) -> Request:
    """Take an undecided request back; raises RefusedError."""
    if not request.open:
        raise RefusedError(ENDED[request.state])
    if login != request.submitter:
        raise RefusedError(NOT_SUBMITTER)
    if not request.version.self_withdraw:
        raise RefusedError(NO_WITHDRAWAL)
    return _end(request, State.WITHDRAWN, at)


def supersede(request: Request, at: datetime) -> Request:
    """Let a later request take the place of this one; one that is over stays as it is."""
    return _end(request, State.SUPERSEDED, at) if request.state in (State.OPEN, State.APPROVED) else request


def escalate(request: Request, roster: Roster, at: datetime) -> Request:
    """Remind and escalate what is due at ``at``, and let lapse what is too old; twice is the same as once."""
    if _is_over(request, at):
        return replace(request, state=State.EXPIRED, ended_at=at)
    if not request.open:
        return request
    step = request.current
    waits = at - (request.since or request.submitted_at)
    due = step.within_h is not None and waits >= timedelta(hours=step.within_h)
    late = step.escalation is not None and waits >= timedelta(hours=step.escalation.after_h)
    reminded = replace(request, reminded=request.reminded or due, escalated=request.escalated or late)
    return _fill(reminded, roster)


def use(request: Request, content_hash: str, at: datetime) -> Request:
    """Spend an approval on doing what it allowed; raises RefusedError unless it holds, for just this content."""
    if request.open:
        raise RefusedError(NOT_YET)
    if request.state is not State.APPROVED:
        raise RefusedError(ENDED[request.state])
    if _is_over(request, at):
        raise RefusedError(LAPSED)
    if content_hash != request.content_hash:
        raise RefusedError(OTHER_CONTENT)
    return replace(request, state=State.USED)


def _check_answer(request: Request, answer: Answer, roster: Roster, at: datetime) -> None:
    if not request.open:
        raise RefusedError(ENDED[request.state])
    if _is_over(request, at):
        raise RefusedError(ENDED[State.EXPIRED])
    if (answer.seen_hash, answer.round) != (request.content_hash, request.round):
        raise RefusedError(CHANGED)
    if answer.step != request.step:
        raise RefusedError(STEP_OVER)
    if {answer.login, answer.principal} & set(request.authors):
        raise RefusedError(OWN)
    if {answer.login, answer.principal} & barred(request):
        raise RefusedError(DECIDED)
    if Seat(answer.login, answer.principal) not in seats(request, roster, at):
        raise RefusedError(NOT_YOURS)


def _start(request: Request, roster: Roster, at: datetime) -> Request:
    """Begin a round; nobody is asked only where the flow says so."""
    if not request.version.path(request.facts) and request.version.without_steps is WithoutSteps.REFUSED:
        raise RefusedError(NO_STEP)
    return _enter_next(replace(request, asked_at=at), 0, roster, at)


def _enter_next(request: Request, first: int, roster: Roster, at: datetime) -> Request:
    """Go on to the first step from place ``first`` that applies; approved when there is none."""
    place = next((place for place in request.version.path(request.facts) if place >= first), None)
    if place is None:
        return _end(request, State.APPROVED, at)
    entered = replace(request, step=place, since=at, needed=0, reminded=False, escalated=False, short=False)
    return _fill(replace(entered, needed=wanted(entered.current, entered, roster)), roster)


def _fill(request: Request, roster: Roster) -> Request:
    """Where a step has too few people, ask at once whom it escalates to, and say so."""
    if not short_of(request, roster):
        return request
    return replace(request, short=True, escalated=request.escalated or request.current.escalation is not None)


def _end(request: Request, state: State, at: datetime) -> Request:
    return replace(request, state=state, ended_at=at)


def _is_over(request: Request, at: datetime) -> bool:
    """Whether an undecided request, or an approval that nobody used, has become too old."""
    if request.open and request.version.open_days is not None:
        return at >= (request.asked_at or request.submitted_at) + timedelta(days=request.version.open_days)
    return request.usable_until is not None and at >= request.usable_until
