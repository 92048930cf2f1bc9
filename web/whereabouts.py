"""Where the visitor is at work: another organisation of his group, one site or all of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response

from hub.access import whereabouts
from hub.errors import NotFoundError
from web.forms import Sent
from web.session import Anyone, let_in, token_of
from web.sign_in import inside

router = APIRouter()


class OrganisationForm(Sent):
    """Where to go."""

    organisation_id: UUID


class SiteForm(Sent):
    """What to look at: nothing for all sites."""

    site_id: UUID | None = None
    next: str = "/"


@router.post("/whereabouts/organisation")
async def go(visit: Anyone, sent: Annotated[OrganisationForm, Form()]) -> Response:
    """Work in another organisation from now on."""
    token = token_of(visit.request)
    opened = await whereabouts.go_to(visit.database, visit.who, token, sent.organisation_id, visit.knock)
    response = visit.go("/")
    let_in(response, visit.request.app.state.settings, opened)
    return response


@router.post("/whereabouts/site")
async def look(visit: Anyone, sent: Annotated[SiteForm, Form()]) -> Response:
    """Look at one site from now on, or at all; people from outside see their own jobs and papers and choose nothing."""
    async with visit.transaction() as tx:
        open_to = {site.id for site in await visit.sites(tx)} if visit.who.kind == "staff" else set()
        if sent.site_id is not None and sent.site_id not in open_to:
            raise NotFoundError("There is no such site.")
    await whereabouts.look_at(visit.database, visit.who, sent.site_id)
    return visit.go(inside(sent.next))
