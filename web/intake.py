"""How much a request may bring and how long it may take to bring it; counted while it comes, nothing is kept."""

import asyncio
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from web.words import N_

TOO_BIG = N_("What was sent is too big.")
TOO_SLOW = N_("What was sent came too slowly; check the connection and try again.")
HANG_UP = {"Connection": "close"}  # or the rest of it would still be read


@dataclass(frozen=True, slots=True)
class Body:
    """What one request may bring: ``max_bytes`` in ``within_s`` seconds."""

    max_bytes: int
    within_s: float


FORM = Body(1_000_000, 30.0)
UPLOADS = {
    "/api/stills": Body(8_000_000, 120.0),
    "/readings/import": Body(65_000_000, 600.0),
    "/corrections": Body(9_000_000, 120.0),  # a photo of the meter and the rest of the form
    "/meters": Body(9_000_000, 120.0),
}  # by the start of the path


def allowed(path: str) -> Body:
    """Give what a request for ``path`` may bring."""
    return next((body for start, body in UPLOADS.items() if path.startswith(start)), FORM)


class Measured:
    """A request's ``receive`` that raises 413 as soon as too much has come, and 408 when it does not end in time."""

    def __init__(self, receive: Receive, body: Body) -> None:
        self._receive = receive
        self._body = body
        self._until = asyncio.get_running_loop().time() + body.within_s
        self._size = 0
        self._whole = False

    async def __call__(self) -> Message:
        """Give the next piece, or the news that the client has gone."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, TOO_SLOW, HANG_UP) from None
        self._whole = not message.get("more_body", False)
        self._size += len(message.get("body", b""))
        if self._size > self._body.max_bytes:
            raise HTTPException(413, TOO_BIG, HANG_UP)
        return message
