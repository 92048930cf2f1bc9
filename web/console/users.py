"""Users and roles: who belongs to the organisation, where he may do what, and what opens his account."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from hub.access import administration, factor, identity, invitation, session, tokens
from hub.access.administration import Member, Newcomer, Scope, carries_clearance
from hub.access.rights import KINDS, RIGHTS
from hub.access.rows import Invitation
from hub.errors import InvalidError
from hub.leases import service as leases
from hub.store.database import Transaction
from web import welcome
from web.console.roles import Places, ProvenVisit, RoleForm, UsersVisit, ask, requests
from web.export import table
from web.forms import ALONE, Sent
from web.session import Visit

router = APIRouter()
STATES = ("active", "invited", "locked_out", "ended")
SKILLS = ("hvac", "electrical", "plumbing")


class InvitationForm(RoleForm):
    """Somebody to let in, with his first role."""

    login: str
    name: str
    email: str = ""
    language: str = "zh"
    tenant_id: UUID | None = None
    skills: list[str] = Field(default_factory=list, max_length=20)
    zones: list[str] = Field(default_factory=list, max_length=200)


class NameForm(Sent):
    """How somebody is called, and in which language."""

    name: str
    language: str


class ReasonForm(Sent):
    """Why something grave is done."""

    reason: str = ""


def _listed(found: Sequence[Member], kind: str, state: str, q: str) -> list[Member]:
    wanted = q.strip().lower()
    return [
        one
        for one in found
        if kind in ("", one.person.kind)
        and state in ("", one.state)
        and (wanted in one.person.login or wanted in one.person.name.lower())
    ]


@router.get("/users")
async def show(visit: UsersVisit, kind: str = "", state: str = "", q: str = "") -> HTMLResponse:
    """Show who belongs to the organisation."""
    async with visit.transaction() as tx:
        every = await administration.members(tx, visit.now)
        said = {
            "members": _listed(every, kind, state, q), "kind": kind, "state": state, "q": q, "states": STATES,
            "kinds": sorted({one.person.kind for one in every}), "total": len(every),
        }  # fmt: skip
        return await visit.page(tx, "console/users.html", **said)


@router.get("/users.csv")
async def export(visit: UsersVisit, kind: str = "", state: str = "", q: str = "") -> Response:
    """Give the list as CSV."""
    async with visit.transaction() as tx:
        found = _listed(await administration.members(tx, visit.now), kind, state, q)
        return table("users", [_cells(one) for one in found])


def _cells(one: Member) -> dict[str, Any]:
    person = one.person
    roles = [f"{held.role}@{held.place_en}" if held.place_en else held.role for held in one.roles]
    return {
        "login": person.login, "name": person.name, "kind": person.kind, "state": one.state, "roles": " ".join(roles),
        "tenant": person.tenant, "email": person.email, "second_factor": one.standing.enrolled,
        "created_at": person.created_at, "seen_at": person.seen_at,
    }  # fmt: skip


@router.get("/users/invite")
async def show_invite(visit: UsersVisit) -> HTMLResponse:
    """Show the form that lets somebody in."""
    async with visit.transaction() as tx:
        said = {
            "places": await Places.of(tx), "tenants": await leases.tenants(tx), "skills": SKILLS,
            "roles": [role for role in RIGHTS if KINDS.get(role) != "service"],
        }  # fmt: skip
        return await visit.page(tx, "console/user_invite.html", **said)


@router.post("/users/invite")
async def invite(visit: ProvenVisit, sent: Annotated[InvitationForm, Form()]) -> Response:
    """Let somebody in and send him, or show once, the link by which he chooses his password."""
    if KINDS.get(sent.role) == "service":
        raise InvalidError("A service account has no password; make it on the page of API tokens.")
    async with visit.transaction() as tx:
        places = await Places.of(tx)
        newcomer = Newcomer(
            sent.login, sent.name, sent.role, sent.email.strip() or None, sent.language, sent.tenant_id,
            tuple(one for one in SKILLS if one in sent.skills),
            tuple(one.code for one in places.buildings if one.code in sent.zones),
        )  # fmt: skip
        user_id = await administration.add(tx, newcomer, places.scope(sent))
        if carries_clearance(sent.role, Scope()):
            await ask(tx, user_id, sent, visit.now)
        return await _invited(visit, tx, await invitation.make(tx, user_id, "invitation", visit.now), user_id)


@router.post("/users/{user_id}/invite", dependencies=ALONE)
async def invite_again(visit: ProvenVisit, user_id: UUID) -> Response:
    """Send another link; the older one opens nothing any more."""
    async with visit.transaction() as tx:
        return await _invited(visit, tx, await invitation.make(tx, user_id, "invitation", visit.now), user_id)


async def _invited(visit: Visit, tx: Transaction, made: Invitation, user_id: UUID) -> Response:
    if made.email:
        await welcome.send(tx, made, visit.now)
        return visit.go(f"/users/{user_id}")
    link = f"{visit.request.app.state.settings.public_address}{made.path}"
    return await visit.page(tx, "console/user_link.html", made=made, link=link, user_id=user_id)


@router.get("/users/{user_id}")
async def one(visit: UsersVisit, user_id: UUID) -> HTMLResponse:
    """Show one account: roles, sessions, tokens and links."""
    async with visit.transaction() as tx:
        found = await administration.member(tx, user_id, visit.now)
        kinds = ("tenant", "contractor", "service")
        own = found.person.kind if found.person.kind in kinds else "staff"
        said = {
            "member": found,
            "held": await administration.roles(tx, user_id),
            "sessions": await session.sessions(tx, user_id, visit.now),
            "tokens": [token for token in await tokens.tokens(tx, user_id) if token.revoked_at is None],
            "identities": await identity.identities(tx, user_id),
            "requests": await requests(tx, user_id),
            "places": await Places.of(tx),
            "roles": [role for role in RIGHTS if _fits(role, own)],
            "mine": user_id == visit.who.user_id,
        }
        return await visit.page(tx, "console/user.html", **said)


def _fits(role: str, kind: str) -> bool:
    """Whether somebody of this kind may hold the role; a service account may hold one of the staff too."""
    return KINDS.get(role, "staff") == kind or (kind == "service" and role not in KINDS)


@router.post("/users/{user_id}/name")
async def rename(visit: UsersVisit, user_id: UUID, sent: Annotated[NameForm, Form()]) -> Response:
    """Correct a name."""
    async with visit.transaction() as tx:
        await administration.change(tx, user_id, sent.name, sent.language)
    return visit.go(f"/users/{user_id}")


@router.post("/users/{user_id}/close", dependencies=ALONE)
async def close(visit: ProvenVisit, user_id: UUID) -> Response:
    """Close an account."""
    async with visit.transaction() as tx:
        await administration.deactivate(tx, user_id, visit.now)
    return visit.go(f"/users/{user_id}")


@router.post("/users/{user_id}/reopen", dependencies=ALONE)
async def reopen(visit: ProvenVisit, user_id: UUID) -> Response:
    """Open a closed account again."""
    async with visit.transaction() as tx:
        await administration.reactivate(tx, user_id)
    return visit.go(f"/users/{user_id}")


@router.post("/users/{user_id}/factor/remove")
async def remove_factor(visit: ProvenVisit, user_id: UUID, sent: Annotated[ReasonForm, Form()]) -> Response:
    """Let somebody start anew who has lost his second factor."""
    async with visit.transaction() as tx:
        await administration.check_other(tx, user_id)
        made = await factor.remove(tx, user_id, sent.reason, visit.now)
        return await _invited(visit, tx, made, user_id)


@router.post("/users/{user_id}/sessions/end", dependencies=ALONE)
async def end_sessions(visit: ProvenVisit, user_id: UUID) -> Response:
    """End all sessions of an account."""
    async with visit.transaction() as tx:
        await administration.user(tx, user_id)
        await session.end_all(tx, user_id)
    return visit.go(f"/users/{user_id}")


@router.post("/users/{user_id}/sessions/{session_id}/end", dependencies=ALONE)
async def end_session(visit: ProvenVisit, user_id: UUID, session_id: UUID) -> Response:
    """End one session of an account."""
    async with visit.transaction() as tx:
        await session.end(tx, session_id, user_id)
    return visit.go(f"/users/{user_id}")


@router.post("/users/sessions/end", dependencies=ALONE)
async def end_everybody(visit: ProvenVisit) -> Response:
    """End the sessions of everybody in the organisation but this one."""
    async with visit.transaction() as tx:
        await session.end_everybody(tx, but=visit.who.session_id)
    return visit.go("/users")
