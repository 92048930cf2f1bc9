"""Rows of the access slice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from hub.access.rights import CLEARANCES, RIGHTS, WHOLE_ONLY, Right, rights_of
from hub.store.database import Actor


@dataclass(frozen=True, slots=True)
class Account:
    """What the door needs to know of a user; ``active`` is false too where his organisation is closed."""

    id: UUID
    organisation_id: UUID
    login: str
    language: str
    active: bool
    password_hash: str | None
    enrolled: bool
    roles: list[str]


@dataclass(frozen=True, slots=True)
class Word:
    """One text of a list."""

    word: str


@dataclass(frozen=True, slots=True)
class Seed:
    """The sealed seed of a second factor."""

    user_id: UUID
    organisation_id: UUID
    totp_seed: bytes


@dataclass(frozen=True, slots=True)
class Hold:
    """Until when guesses of one kind are refused."""

    held_until: datetime


@dataclass(frozen=True, slots=True)
class Browser:
    """What says itself at the door: the browser's name, and the mark that it got when it was let in before."""

    user_agent: str = ""
    mark: str = ""


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

    def inside(self, site_id: UUID, building_id: UUID | None = None) -> "Grant | None":
        """Give the role as far as it reaches inside a site or a building; None where it does not reach there."""
        if self.site_id not in (None, site_id):
            return None
        if self.building_id is not None:
            return self if building_id in (None, self.building_id) else None
        return replace(self, scope="building" if building_id else "site", site_id=site_id, building_id=building_id)


@dataclass(frozen=True, slots=True)
class CutGrant(Grant):
    """A role as far as an API token lets it be used."""

    allowed: frozenset[Right]

    @property
    def rights(self) -> frozenset[Right]:
        """What the role and the token allow together."""
        return rights_of(self.role, self.scope) & self.allowed


def places(grants: Iterable[Grant]) -> frozenset[UUID] | None:
    """Give where the grants hold together: sites and buildings, None for the whole organisation."""
    held = [grant.place for grant in grants]
    return None if None in held else frozenset(place for place in held if place is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that is open, and whose it is; ``organisation_id`` is where he works in it, ``home_id`` his own.

    ``through`` is false between password and code: such a session opens nothing but the page that asks for the code.
    ``authenticated_at`` is when he last proved who he is with all his factors; None for programs with a token.
    ``role_ends_at`` is when the first of his roles ends that have an end.
    ``site_id`` is the one site that he has chosen to look at; None for all.
    """

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
    session_id: UUID | None = None
    seen_at: datetime | None = None
    role_ends_at: datetime | None = None
    through: bool = True
    enrolled: bool = False
    factors: Sequence[str] = ()
    authenticated_at: datetime | None = None
    site_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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

    def reaches(self, site_id: UUID) -> bool:
        """Whether any of his roles holds at a site or in a building of it."""
        return any(grant.site_id in (None, site_id) for grant in self.grants)

    @property
    def travels(self) -> bool:
        """Whether he works in other organisations of his group too."""
        return self.organisation_id != self.home_id or any(grant.scope == "group" for grant in self.grants)

    @property
    def changes_at(self) -> datetime:
        """When he can do less by the mere passing of time, or nothing any more."""
        return min(self.expires_at, self.role_ends_at or self.expires_at)

    def actor(self, *needed: Right, address: str = "", request_id: str = "") -> Actor:
        """Give in whose name a transaction for any one of ``needed`` runs: confined to where he has such a right.

        And to the site that he has chosen, but for what concerns the organisation as a whole.
        """
        used = [grant for grant in self.grants if not needed or grant.rights.intersection(needed)]
        if self.site_id is not None and not (needed and WHOLE_ONLY.issuperset(needed)):
            used = [cut for grant in used if (cut := grant.inside(self.site_id)) is not None]
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
    """An opened session: the cookie's token, of which a hash is stored, the form secret, and how far it has come.

    ``mark`` is what the browser keeps to be known again.
    """

    token: str
    csrf: str
    expires_at: datetime
    through: bool
    enrolled: bool
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session as a list shows it."""

    id: UUID
    user_id: UUID
    login: str
    factors: list[str]
    through: bool
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens somebody's account, as far as he is shown it."""

    email: str | None
    password_set_at: datetime | None
    totp_since: datetime | None
    codes_left: int


@dataclass(frozen=True, slots=True)
class Invited:
    """Whom a link lets choose a password; the link itself is known to nobody but its reader."""

    user_id: UUID
    organisation_id: UUID
    login: str
    name: str
    language: str
    purpose: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link to choose a password by: ``path`` under the public address, with the token where no log gets it."""

    path: str
    login: str
    email: str | None
    language: str
    purpose: str
    expires_at: datetime
