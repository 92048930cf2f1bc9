"""Rows of the mails."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets a mail, and in which language ('zh' or 'en')."""

    address: str
    language: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says, in both languages; ``path`` is the page that its link leads to, '' for none."""

    subject_zh: str
    subject_en: str
    body_zh: str
    body_en: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A mail that is to be sent now; ``attempts`` counts this one too."""

    id: UUID
    address: str
    language: str
    subject: str
    body: str
    path: str | None
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Mail:
    """What became of a mail; its text is not here."""

    id: UUID
    address: str
    subject: str
    created_at: datetime
    due_at: datetime
    attempts: int
    last_error: str
    sent_at: datetime | None
    given_up_at: datetime | None
