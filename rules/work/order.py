"""The life of a work order: a table of who may take it from which state to which."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where a work order stands."""

    REQUESTED = "requested"  # nobody has it yet
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    ARRIVED = "arrived"
    DONE = "done"  # the technician says so
    VERIFIED = "verified"  # telemetry or an engineer says so too
    CLOSED = "closed"
    RETURNED = "returned"  # the technician gave it back
    REOPENED = "reopened"  # done was not enough
    STOPPED = "stopped"


class Verb(StrEnum):
    """What can be done to a work order."""

    REQUEST = "request"
    ASSIGN = "assign"
    ACCEPT = "accept"
    ARRIVE = "arrive"
    COMPLETE = "complete"
    RETURN = "return"
    VERIFY = "verify"
    REOPEN = "reopen"
    CLOSE = "close"
    STOP = "stop"


class Part(StrEnum):
    """In which part somebody acts on an order."""

    ASSIGNEE = "assignee"
    DISPATCHER = "dispatcher"  # engineers and administrators
    TELEMETRY = "telemetry"  # the hub itself


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    verb: Verb
    sources: frozenset[Status]
    target: Status
    parts: frozenset[Part]


def _row(verb: Verb, sources: set[Status], target: Status, *parts: Part) -> Transition:
    return Transition(verb, frozenset(sources), target, frozenset(parts))


_S = Status
_STAFF = (Part.ASSIGNEE, Part.DISPATCHER)
_DESK = (Part.DISPATCHER, Part.TELEMETRY)
_BEFORE_DONE = {_S.REQUESTED, _S.ASSIGNED, _S.ACCEPTED, _S.ARRIVED, _S.RETURNED, _S.REOPENED}

TRANSITIONS: tuple[Transition, ...] = (
    _row(Verb.REQUEST, set(), _S.REQUESTED, *_DESK),  # how an order begins
    _row(Verb.ASSIGN, {_S.REQUESTED, _S.RETURNED, _S.REOPENED, _S.ASSIGNED}, _S.ASSIGNED, *_DESK),
    _row(Verb.ACCEPT, {_S.ASSIGNED}, _S.ACCEPTED, *_STAFF),
    _row(Verb.ARRIVE, {_S.ACCEPTED}, _S.ARRIVED, *_STAFF),
    _row(Verb.COMPLETE, {_S.ARRIVED}, _S.DONE, *_STAFF),
    _row(Verb.RETURN, {_S.ASSIGNED, _S.ACCEPTED, _S.ARRIVED}, _S.RETURNED, *_STAFF),
    _row(Verb.VERIFY, {_S.DONE}, _S.VERIFIED, *_DESK),
    _row(Verb.REOPEN, {_S.DONE, _S.VERIFIED}, _S.REOPENED, *_DESK),
    _row(Verb.CLOSE, {_S.VERIFIED}, _S.CLOSED, Part.DISPATCHER),
    _row(Verb.STOP, _BEFORE_DONE, _S.STOPPED, Part.DISPATCHER),
)
BY_VERB = {row.verb: row for row in TRANSITIONS}

# An order in one of these still needs somebody; a new alarm of the same rule and device joins it.
OPEN = frozenset({*_BEFORE_DONE, _S.DONE})


class ImpossibleError(ValueError):
    """The order is not in a state from which this can be done."""


class NotYoursError(PermissionError):
    """Somebody else has to do this."""


def move(status: Status, verb: Verb, part: Part | None) -> Status:
    """Give the state after ``verb``; raises NotYoursError or ImpossibleError with a sentence for the user."""
    row = BY_VERB[verb]
    if part is None or part not in row.parts:
        raise NotYoursError(f"Only {_people(row)} can {verb} this work order.")
    if status not in row.sources:
        sources = ", ".join(sorted(row.sources))
        raise ImpossibleError(
            f"This work order is {status}; only one that is {sources} can be changed by '{verb}'. "
            "Reload it to see what happened."
        )
    return row.target


def possible(status: Status, part: Part | None) -> tuple[Verb, ...]:
    """Give what somebody in this part can do next, in the order of the table: the buttons of a page."""
    return tuple(row.verb for row in TRANSITIONS if status in row.sources and part in row.parts)


_PEOPLE = {
    Part.ASSIGNEE: "the technician to whom it is assigned",
    Part.DISPATCHER: "an engineer or administrator",
    Part.TELEMETRY: "the telemetry",
}


def _people(row: Transition) -> str:
    return " or ".join(words for part, words in _PEOPLE.items() if part in row.parts)
