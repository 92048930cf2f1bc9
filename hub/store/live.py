"""Hear what changed: the notices that transactions leave on the channel ``plantroom_live``."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection, Error

CHANNEL = "plantroom_live"
RETRY_FIRST_S = 0.5
RETRY_MOST_S = 15.0
CONNECT_TIMEOUT_S = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """Something of ``kind`` (alarm, work_order, gateway, latest, invoice) changed in an organisation.

    ``kind`` is empty and ``organisation`` None after a (re)connect: anything may have changed unheard.
    """

    kind: str
    id: str
    organisation: UUID | None


ANYTHING = Change("", "", None)


async def listen(dsn: str) -> AsyncIterator[Change]:
    """Give every change for as long as somebody asks; connects again by itself after an outage."""
    wait_s = RETRY_FIRST_S
    while True:
        try:
            connection = await AsyncConnection.connect(
                dsn,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=2,
                application_name="plantroom/live",
            )
            async with connection:
                await connection.execute(f"LISTEN {CHANNEL}".encode())
                wait_s = RETRY_FIRST_S
                yield ANYTHING
                async for notice in connection.notifies():
                    change = parse(notice.payload)
                    if change is not None:
                        yield change
        except Error as error:
            log.warning("the live channel is cut (%s); again in %.1f s", error, wait_s)
        await asyncio.sleep(wait_s * random.uniform(0.7, 1.3))  # noqa: S311 - spreads reconnects, no secret
        wait_s = min(wait_s * 2, RETRY_MOST_S)


def parse(payload: str) -> Change | None:
    """Read a notice; None (and a line in the log) for one that is not of the agreed form."""
    try:
        said = json.loads(payload)
        return Change(str(said["kind"]), str(said["id"]), UUID(said["organisation"]))
    except (ValueError, KeyError, TypeError):
        log.warning("a notice that nobody can read: %.120r", payload)
        return None
