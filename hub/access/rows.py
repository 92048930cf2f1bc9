"""Rows of the access slice."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hub.access.rights import CLEARANCES, RIGHTS, Right, rights_of
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
class Grant:
    """A role that somebody holds at a scope: group, organisation, site or building."""

    role: str
    scope: str
    site_id: UUID | None
    building_id: UUID | None

    @property
    def rights(self) -> frozenset[Right]:
        """What the role allows there."""
        return rights_of(self.role, self.scope)

    @property
    def place(self) -> UUID | None:
        """The one site or building; None for the whole organisation."""
        return self.building_id or self.site_id


def places(grants: Iterable[Grant]) -> frozenset[UUID] | None:
    """Give where the grants hold together: sites and buildings, None for the whole organisation."""
    held = [grant.place for grant in grants]
    return None if None in held else frozenset(place for place in held if place is not None)


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is open, and whose it is; ``organisation_id`` is where he works in it, ``home_id`` his own."""

    user_id: UUID
    organisation_id: UUID
    home_id: UUID
    login: str
    name: str
    kind: str
    tenant_id: UUID | None
    language: str
    csrf: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Visitor(Session):
    """Somebody who is signed in, with the roles that he holds now."""

    grants: tuple[Grant, ...]

    @property
    def rights(self) -> frozenset[Right]:
        """What he may do somewhere."""
        return frozenset().union(*(grant.rights for grant in self.grants))

    @property
    def roles(self) -> tuple[str, ...]:
        """His roles, each once, in the order of the table of rights."""
        held = {grant.role for grant in self.grants}
        return tuple(role for role in RIGHTS if role in held)

    def may(self, right: Right) -> bool:
        """Whether he has ``right`` anywhere."""
        return right in self.rights

    def actor(self, *needed: Right, address: str = "", request_id: str = "") -> Actor:
        """Give in whose name a transaction for any one of ``needed`` runs: confined to where he has such a right."""
        used = [grant for grant in self.grants if not needed or grant.rights.intersection(needed)]
        held = frozenset(self.rights)
        return Actor(
            self.login,
            self.user_id if self.organisation_id == self.home_id else None,  # references carry the organisation
            held,
            places(used),
            tuple((right.value, places(g for g in used if right in g.rights)) for right in sorted(held & CLEARANCES)),
            self.tenant_id,
            contractor=self.kind == "contractor",
            address=address,
            request_id=request_id,
        )


@dataclass(frozen=True, slots=True)
class User:
    """A user as a list shows him."""

    id: UUID
    login: str
    name: str
    kind: str
    roles: list[str]
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
