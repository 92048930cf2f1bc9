"""Rows of the access slice."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hub.access.rights import RIGHTS, Right
from hub.store.database import Actor


@dataclass(frozen=True, slots=True)
class Account:
    """What sign-in needs to know of a user."""

    id: UUID
    organisation_id: UUID
    login: str
    password_hash: str
    active: bool
    failures: int
    locked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Closed:
    """Whose session was ended."""

    user_id: UUID
    organisation_id: UUID
    login: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in."""

    user_id: UUID
    organisation_id: UUID
    login: str
    name: str
    role: str
    tenant_id: UUID | None
    language: str
    csrf: str
    expires_at: datetime

    @property
    def actor(self) -> Actor:
        """In whose name transactions of this visitor run."""
        return Actor(self.login, self.user_id, self.role, self.tenant_id)

    def may(self, right: Right) -> bool:
        """Whether the visitor's role has ``right``."""
        return right in RIGHTS[self.role]


@dataclass(frozen=True, slots=True)
class User:
    """A user as a list shows him."""

    id: UUID
    login: str
    name: str
    role: str
    language: str
    skills: list[str]
    zones: list[str]
    active: bool


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The result of signing in: the cookie's token and the form secret; neither is stored in clear."""

    token: str
    csrf: str
    expires_at: datetime
