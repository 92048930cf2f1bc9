"""Roles: given, taken back, and asked for where they open what few people see.

A second administrator approves of each grant of such a role before it is made, and of just that grant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Response
from pydantic import Field

from hub.access import administration
from hub.access.administration import Scope, carries_clearance
from hub.access.rights import RIGHTS, Right
from hub.access.rows import User
from hub.approvals import record, views
from hub.approvals import service as approvals
from hub.approvals.rows import Stored, Subject
from hub.assets import service as assets
from hub.assets.rows import Site, Space
from hub.errors import InvalidError, NotFoundError
from hub.store.database import Transaction
from rules.model.period import midnight
from web.forms import ALONE, Sent
from web.render import UTC_ZONE
from web.session import Needs, Visit
from web.words import word

router = APIRouter()
KIND = "role_grant"
ROLES = tuple(role for role in RIGHTS if carries_clearance(role, Scope()))
ONE_DAY = timedelta(days=1)
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2200, 1, 1))]

UsersVisit = Annotated[Visit, Depends(Needs(Right.MANAGE_USERS))]
ProvenVisit = Annotated[Visit, Depends(Needs(Right.MANAGE_USERS, fresh=True))]


class RoleForm(Sent):
    """A role to give: where (a site or a building by its id; neither: everywhere), on its first and its last day."""

    role: str
    site_id: UUID | None = None
    building_id: UUID | None = None
    first: Day | None = None
    last: Day | None = None


class RequestForm(Sent):
    """Which approved request is carried out."""

    number: Annotated[int, Field(ge=1, le=10**12)]


@dataclass(frozen=True, slots=True)
class Places:
    """Where roles can be given: the sites, each with its buildings."""

    sites: Sequence[Site]
    buildings: Sequence[Space]

    @classmethod
    async def of(cls, tx: Transaction) -> "Places":
        """Give those of the organisation."""
        sites = await assets.sites(tx)
        rooms = [space for site in sites for space in await assets.spaces(tx, site.id)]
        return cls(sites, [space for space in rooms if space.kind == "building"])

    def named(self, sent: RoleForm) -> str:
        """Give the codes of the place that a form names, '' for the whole organisation."""
        building = next((one for one in self.buildings if one.id == sent.building_id), None)
        site_id = building.site_id if building else sent.site_id
        site = next((one.code for one in self.sites if one.id == site_id), "")
        return f"{site}/{building.code}" if building else site

    def scope(self, sent: RoleForm) -> Scope:
        """Read where and when a role is to hold; days begin in the time of the place."""
        building = next((one for one in self.buildings if one.id == sent.building_id), None)
        if sent.building_id and building is None:
            raise InvalidError("There is no such building.")
        site_id = building.site_id if building else sent.site_id
        zone = next((one.zone for one in self.sites if site_id in (None, one.id)), UTC_ZONE)
        since = midnight(sent.first, zone) if sent.first else None
        until = midnight(sent.last + ONE_DAY, zone) if sent.last else None
        return Scope(site_id, sent.building_id, since, until)


def _subject(user: User, sent: RoleForm, places: Places) -> Subject:
    """Give what a second administrator sees: just this role, here, for so long, to this person."""
    place = places.named(sent)
    title = f"{word(f'role.{sent.role}')}: {user.name} ({user.login})"
    content = {
        "login": user.login, "name": user.name, "role": sent.role, "place": place,
        "site_id": str(sent.site_id or ""), "building_id": str(sent.building_id or ""),
        "first": sent.first.isoformat() if sent.first else "", "last": sent.last.isoformat() if sent.last else "",
    }  # fmt: skip
    return Subject(KIND, _id(user.id, sent.role), title, title, content, link=f"/users/{user.id}")


def _id(user_id: UUID, role: str) -> str:
    return f"{user_id}:{role}"


async def ask(tx: Transaction, user_id: UUID, sent: RoleForm, now: datetime) -> int:
    """Submit a grant for approval and give the request's number."""
    user = await administration.check_other(tx, user_id)
    places = await Places.of(tx)
    places.scope(sent)
    return await approvals.submit(tx, _subject(user, sent, places), now)


async def requests(tx: Transaction, user_id: UUID) -> list[Stored]:
    """Give the newest request for each role of this kind that was asked for this person."""
    async with tx.unconfined():
        found = [await record.stored(tx, subject=(KIND, _id(user_id, role)), most=1) for role in ROLES]
    return [row for newest in found for row in newest]


@router.post("/users/{user_id}/roles")
async def give(visit: ProvenVisit, user_id: UUID, sent: Annotated[RoleForm, Form()]) -> Response:
    """Give a role, or ask a second administrator about one that opens what few people see."""
    async with visit.transaction() as tx:
        if carries_clearance(sent.role, Scope()):
            return visit.go(f"/approvals/{await ask(tx, user_id, sent, visit.now)}")
        await administration.give(tx, user_id, sent.role, (await Places.of(tx)).scope(sent))
    return visit.go(f"/users/{user_id}")


@router.post("/users/{user_id}/roles/{grant_id}/end", dependencies=ALONE)
async def end_role(visit: ProvenVisit, user_id: UUID, grant_id: UUID) -> Response:
    """Take a role back."""
    async with visit.transaction() as tx:
        await administration.end_role(tx, user_id, grant_id, visit.now)
    return visit.go(f"/users/{user_id}")


@router.post("/users/{user_id}/roles/approved")
async def carry_out(visit: ProvenVisit, user_id: UUID, sent: Annotated[RequestForm, Form()]) -> Response:
    """Give a role of which a second administrator has approved; the approval is spent with it."""
    async with visit.transaction() as tx:
        life = await views.life(tx, sent.number, visit.now)
        asked = {name: life.content.get(name, "") for name in ("role", "site_id", "building_id", "first", "last")}
        if life.stored.kind != KIND or life.stored.subject_id != _id(user_id, str(asked["role"])):
            raise NotFoundError(approvals.NO_SUCH)
        form = RoleForm.model_validate({name: value for name, value in asked.items() if value})
        user, places = await administration.check_other(tx, user_id), await Places.of(tx)
        await approvals.require(tx, _subject(user, form, places), visit.now)
        await administration.give(tx, user_id, form.role, places.scope(form), approved=True)
    return visit.go(f"/users/{user_id}")
