"""Bring gateways the site files that they are wanted to go by, and keep what they say of the ones that they have."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hub.assets import configuration, identity
from hub.errors import HubError
from hub.ingest.acts import Address, ConfigurationTold
from hub.ingest.rows import WantedConfiguration
from hub.refusals import Refusals
from hub.store.database import Actor, Database, Role
from hub.store.sql import queries
from rules.wire.configuration import Told, wrap

SQL = queries(__package__)
ACTOR = Actor("plantroom/ingest")
PUSH_EVERY = timedelta(seconds=30)  # to one gateway: it tries a file for up to a minute
PUSHES_PER_BATCH_MAX = 20  # who is left out tells again
NEWS_PER_BATCH_MAX = 200
ADDRESSES_MAX = 10_000


class Configurations:
    """Remembers what each gateway has said, so that only news costs a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[Address, Told] = {}
        self._pushed: dict[Address, datetime] = {}
        self._refusals = Refusals()

    async def take(self, told: Sequence[ConfigurationTold], now: datetime) -> list[tuple[Address, str]]:
        """Keep what gateways say; gives the files to send, wrapped.  Raises UnavailableError; they tell again."""
        if not told:
            return []
        last = {one.speaker.address: one.told for one in told}
        news = {address: said for address, said in last.items() if self._known.get(address) != said}
        for address, said in list(news.items())[:NEWS_PER_BATCH_MAX]:
            await self._note(address, said, now)
        return await self._wanted(last, now)

    async def _note(self, address: Address, said: Told, now: datetime) -> None:
        try:
            async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
                await tx.become(Role.APP, await identity.owner(tx, address.site))
                await configuration.note_state(tx, *address, said, now)
        except HubError as error:
            self._refusals.note("configuration", "/".join(address), because=str(error))
            return
        while len(self._known) >= ADDRESSES_MAX:
            del self._known[next(iter(self._known))]
        self._known[address] = said

    async def _wanted(self, last: dict[Address, Told], now: datetime) -> list[tuple[Address, str]]:
        """Give the files that gateways lack, for each no more often than PUSH_EVERY."""
        due = [a for a in last if not timedelta(0) <= now - self._pushed.get(a, now - PUSH_EVERY) < PUSH_EVERY]
        if not due:
            return []
        asked = {
            "sites": [address.site for address in due],
            "gateways": [address.gateway for address in due],
            "numbers": [last[address].number for address in due],
            "hashes": [last[address].sha256 for address in due],
            "most": PUSHES_PER_BATCH_MAX,
        }
        async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
            found = await tx.all(WantedConfiguration, SQL["wanted_configurations"], asked)
        sent = [(Address(one.site, one.gateway), wrap(one.number, one.body)) for one in found]
        while len(self._pushed) + len(sent) > ADDRESSES_MAX:
            del self._pushed[next(iter(self._pushed))]
        self._pushed.update((address, now) for address, _ in sent)
        return sent
