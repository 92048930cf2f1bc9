"""What cameras and doors send in: stills one by one, badge events in batches.  Sending it again adds nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, File, Form, UploadFile
from fastapi.security import HTTPBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from hub.access.rights import Right
from hub.api.answers import Answer, Failure
from hub.api.routes import REFUSALS, Caller
from hub.surveillance import service as surveillance
from hub.surveillance import stills
from hub.surveillance.service import Reported
from hub.surveillance.stills import Taken
from hub.workers import Workers
from rules.model.part import Code

PICTURES = Workers("pictures", 1, 8, "Too many pictures come in at once; send this one again in a moment.")

# One line of text: no control characters.
Badge = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Person = Annotated[str, StringConstraints(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Sent(BaseModel):
    """What is sent in; keys that nobody knows are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BadgeEvent(Sent):
    """What happened at a door; ``id`` is the sender's own.  Without a badge nobody showed one."""

    id: UUID
    zone: Code
    door: Code
    at: AwareDatetime
    result: Literal["granted", "denied", "forced", "held"]
    badge: Badge | None = None
    name: Person = ""


class BadgeEvents(Sent):
    """What happened at the doors of one site."""

    site: Code
    events: Annotated[list[BadgeEvent], Field(min_length=1, max_length=surveillance.EVENTS_MAX)]


class Stored(Answer):
    """How much of what was sent is new, and how much was there already."""

    stored: int
    known: int


def create(needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the routes; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
    router = APIRouter(prefix="/api", responses={status: {"model": Failure} for status in (*REFUSALS, 409, 413)})
    sender = Depends(needs(Right.ADD_STILLS))
    by_token = [Depends(HTTPBearer(auto_error=False, description="An API token."))]

    @router.post("/badge-events", dependencies=by_token)
    async def badge_events(sent: BadgeEvents, caller: Caller = sender) -> Stored:
        """Take in badge events; an id that was used for another event is refused."""
        reported = [Reported(**event.model_dump()) for event in sent.events]
        async with caller.transaction() as tx:
            stored = await surveillance.add_badge_events(tx, sent.site, reported, datetime.now(UTC))
        return Stored(stored=stored, known=len(reported) - stored)

    @router.post("/stills", dependencies=by_token)
    async def still(
        picture: Annotated[UploadFile, File(description="JPEG, PNG or WebP; kept as a JPEG written anew.")],
        site: Annotated[Code, Form()],
        zone: Annotated[Code, Form()],
        camera: Annotated[Code, Form()],
        at: Annotated[AwareDatetime, Form()],
        kind: Annotated[Literal["motion", "alarm", "request", "manual"], Form()] = "motion",
        badge: Annotated[Badge | None, Form()] = None,
        name: Annotated[Person, Form()] = "",
        caller: Caller = sender,
    ) -> Stored:
        """Take in a still of a camera; another picture of the same camera and moment is refused."""
        developed = await PICTURES.run(stills.develop, await picture.read())
        async with caller.transaction() as tx:
            taken = Taken(site, zone, camera, at, kind, developed, badge, name)
            new = await stills.add(tx, taken, datetime.now(UTC))
        return Stored(stored=int(new), known=int(not new))

    return router
