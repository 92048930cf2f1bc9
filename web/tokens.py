"""API tokens: one's own, and, for whoever manages users, those of service accounts."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from hub.access import administration, tokens
from hub.access.rights import Right
from hub.access.tokens import RIGHTS, Reach, Token
from hub.assets import service as assets
from hub.store.database import Transaction
from web.console.roles import ProvenVisit
from web.export import table
from web.forms import ALONE, Sent
from web.session import Needs, Visit

router = APIRouter()
LIVES_DAYS = (30, 90, 180, 365)

TokensVisit = Annotated[Visit, Depends(Needs(*RIGHTS))]
ProvenTokensVisit = Annotated[Visit, Depends(Needs(*RIGHTS, fresh=True))]


class TokenForm(Sent):
    """A token to make: for oneself where no account is named."""

    name: str
    owner_id: UUID | None = None
    rights: list[Right] = Field(default_factory=list, max_length=len(RIGHTS))
    site_id: UUID | None = None
    days: Annotated[int, Field(ge=1, le=tokens.LIFE_MAX.days)]


class AccountForm(Sent):
    """A service account to make."""

    login: str
    name: str


async def _seen(visit: Visit, tx: Transaction) -> list[Token]:
    every = await tokens.tokens(tx)
    return every if visit.who.may(Right.MANAGE_USERS) else [one for one in every if one.user_id == visit.who.user_id]


@router.get("/tokens")
async def show(visit: TokensVisit) -> HTMLResponse:
    """Show the tokens, and the form for another."""
    async with visit.transaction() as tx:
        manages = visit.who.may(Right.MANAGE_USERS)
        said = {
            "tokens": await _seen(visit, tx),
            "accounts": await tokens.service_accounts(tx) if manages else [],
            "rights": [right for right in RIGHTS if manages or visit.who.may(right)],
            "own": visit.who.kind in tokens.KINDS and visit.who.organisation_id == visit.who.home_id,
            "sites": await assets.sites(tx),
            "lives": LIVES_DAYS,
            "warn": visit.now + tokens.WARN_BEFORE,
            "manages": manages,
        }
        return await visit.page(tx, "console/tokens.html", **said)


@router.get("/tokens.csv")
async def export(visit: TokensVisit) -> Response:
    """Give the list as CSV."""
    async with visit.transaction() as tx:
        return table("api-tokens", [_cells(one) for one in await _seen(visit, tx)])


def _cells(one: Token) -> dict[str, Any]:
    return {
        "account": one.login, "name": one.name, "begins_with": one.prefix, "rights": " ".join(one.rights),
        "place": one.place_en, "created_at": one.created_at, "created_by": one.created_by,
        "expires_at": one.expires_at, "last_used_at": one.last_used_at, "last_used_from": one.last_used_address,
        "refused_at": one.refused_at, "revoked_at": one.revoked_at, "revoked_by": one.revoked_by,
    }  # fmt: skip


@router.post("/tokens")
async def create(visit: ProvenTokensVisit, sent: Annotated[TokenForm, Form()]) -> HTMLResponse:
    """Make a token and show its secret, for the one time."""
    async with visit.transaction() as tx:
        reach = Reach(frozenset(sent.rights), sent.site_id)
        ends = visit.now + timedelta(days=sent.days)
        owner = sent.owner_id or visit.who.user_id
        token_id, secret = await tokens.create(tx, owner, sent.name, reach, ends, visit.now)
        return await visit.page(tx, "console/token_made.html", token=await tokens.one(tx, token_id), secret=secret)


@router.post("/tokens/accounts")
async def add_account(visit: ProvenVisit, sent: Annotated[AccountForm, Form()]) -> Response:
    """Make a service account."""
    async with visit.transaction() as tx:
        await administration.add_service_account(tx, sent.login, sent.name)
    return visit.go("/tokens")


@router.post("/tokens/{token_id}/revoke", dependencies=ALONE)
async def revoke(visit: TokensVisit, token_id: UUID) -> Response:
    """End a token at once."""
    async with visit.transaction() as tx:
        await tokens.revoke(tx, token_id, visit.now)
    return visit.go("/tokens")
