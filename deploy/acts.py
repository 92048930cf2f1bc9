"""One act of the command line: one transaction, in an organisation's name or as the owner of the schema."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from deploy.embedded import database
from deploy.logins import prepare
from deploy.register import ACTOR, organisation_id, transaction
from deploy.settings import read
from hub.access import groups
from hub.store.database import Transaction

T = TypeVar("T")
Act = Callable[[Transaction], Awaitable[T]]


def in_organisation(data: Path | None, code: str | None, act: Act[T]) -> T:
    """Do ``act`` in the name of the organisation ``code``, or of the only one."""
    settings = read(data=data)

    async def run(hub: str, owner: str) -> T:
        async with transaction(hub, organisation_id(owner, code)) as tx:
            return await act(tx)

    with database(settings) as dsn:
        return asyncio.run(run(prepare(settings, dsn), dsn))


def as_operator(data: Path | None, act: Act[T]) -> T:
    """Do ``act`` as the owner of the schema, over all organisations."""
    settings = read(data=data)

    async def run(owner: str) -> T:
        async with groups.operator(owner, ACTOR) as tx:
            return await act(tx)

    with database(settings) as dsn:
        prepare(settings, dsn)
        return asyncio.run(run(dsn))
