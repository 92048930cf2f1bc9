"""Where a session is at work: in the user's own organisation or another of its group, at one site or at all."""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from hub.access.door import Knock
from hub.access.rows import SignedIn, Visitor
from hub.audit import service as audit
from hub.errors import ConflictError, NotFoundError
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)
NO_SUCH = "There is no such organisation, or you have no role over its group."


@dataclass(frozen=True, slots=True)
class Sibling:
    """An organisation in which somebody can work."""

    id: UUID
    code: str
    name_zh: str
    name_en: str


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def organisations(tx: Transaction, who: Visitor) -> list[Sibling]:
    """Give the organisations in which a visitor can work: his own and, with a role over it, those of its group."""
    async with tx.under(Role.DOOR):
        return await tx.all(Sibling, SQL["siblings"], {"home": who.home_id, "over_group": who.travels})


async def go_to(database: Database, who: Visitor, token: str, organisation_id: UUID, knock: Knock) -> SignedIn:
    """Let a session work in another organisation, under a new token; recorded in both.

    Raises NotFoundError where the visitor has no business, or whose session has gone meanwhile, and ConflictError where
    he is already.
    """
    if organisation_id == who.organisation_id:
        raise ConflictError("You are there already.")
    async with database.transaction(who.organisation_id, knock.actor(who.login, who.user_id), Role.DOOR) as tx:
        found = {one.id: one for one in await organisations(tx, who)}
        if organisation_id not in found or who.organisation_id not in found:
            raise NotFoundError(NO_SUCH)
        opened = SignedIn(
            secrets.token_urlsafe(32), secrets.token_urlsafe(24), who.expires_at, through=True, enrolled=who.enrolled
        )
        acting = None if organisation_id == who.home_id else organisation_id
        values = {"old": _digest(token), "new": _digest(opened.token), "csrf": opened.csrf, "acting": acting}
        if not await tx.run(SQL["act_in"], values):
            raise NotFoundError("There is no such session any more; sign in again.")
        said = {"from": found[who.organisation_id].code, "to": found[organisation_id].code}
        for organisation in (who.organisation_id, organisation_id):
            tx.organisation = organisation
            await audit.record(tx, "went to another organisation", "user", who.user_id, said)
    return opened


async def look_at(database: Database, who: Visitor, site_id: UUID | None) -> None:
    """Let a session look at one site, or at all that its user may see; what he may see is asked at every page."""
    async with database.transaction(None, role=Role.DOOR) as tx:
        await tx.run(SQL["look_at"], {"session": who.session_id, "site": site_id})
