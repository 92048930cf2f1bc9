"""A request for approval: where it stands and what was decided."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rules.flow.definition import Facts, Step, Version


class State(StrEnum):
    """Where a request stands; while it is open, ``Request.step`` says in which step."""

    OPEN = "open"
    APPROVED = "approved"
    USED = "used"  # what was approved has been done; an approval serves once
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  # a later request for the same subject took its place


class Verdict(StrEnum):
    """What somebody decides."""

    APPROVE = "approve"
    REJECT = "reject"


class RefusedError(ValueError):
    """The act does not fit the request as it stands, or is not this person's; one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided in a step of a round; ``principal`` is on whose behalf, None: his own."""

    login: str
    principal: str | None
    verdict: Verdict
    round: int
    step: int
    at: datetime

    @property
    def eyes(self) -> frozenset[str]:
        """Whose eyes it took: a deputy and his principal are one pair."""
        return frozenset({self.login, self.principal or self.login})


@dataclass(frozen=True, slots=True)
class Request:
    """One request, governed by the version that was in force when it was submitted.

    ``authors`` wrote or changed the content; the first one submitted it.  A change opens a new ``round``: decisions of
    earlier rounds stay on record and count no longer; ``asked_at`` is when the round began.  ``step`` is the place in
    ``version.steps`` that waits since ``since`` for ``needed`` people; ``short`` says that there were too few.
    """

    version: Version
    facts: Facts
    content_hash: str
    authors: tuple[str, ...]
    submitted_at: datetime
    asked_at: datetime | None = None
    state: State = State.OPEN
    round: int = 1
    step: int = 0
    since: datetime | None = None
    needed: int = 0
    reminded: bool = False
    escalated: bool = False
    short: bool = False
    decisions: tuple[Decision, ...] = ()
    ended_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether somebody still has to decide."""
        return self.state is State.OPEN

    @property
    def current(self) -> Step:
        """The step that waits (of an open request), or that was the last."""
        return self.version.steps[self.step]

    @property
    def submitter(self) -> str:
        """Who asked."""
        return self.authors[0]

    @property
    def usable_until(self) -> datetime | None:
        """First moment at which an approval no longer serves; None while there is none."""
        if self.state is not State.APPROVED or self.ended_at is None:
            return None
        return self.ended_at + timedelta(days=self.version.validity_days)

    @property
    def counted(self) -> tuple[Decision, ...]:
        """The decisions on the content as it is now."""
        return tuple(decision for decision in self.decisions if decision.round == self.round)

    @property
    def given(self) -> int:
        """How many people have approved the step that waits."""
        return sum(decision.step == self.step for decision in self.counted)
