"""Commands on the wire: out to the gateways as soon as they are given, and their answers in."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from hub.commands import outbox
from hub.commands.rows import Due
from hub.errors import UnavailableError
from hub.ingest.acts import Answered
from hub.store.database import Actor, Database, Role
from hub.streak import Streak
from rules.control.command import Command
from rules.wire import topics
from rules.wire.command import command_metric
from rules.wire.sparkplug import DataType, Metric, Payload, encode
from rules.wire.topics import Topic, Verb

LOOK_EVERY_S = 0.2  # part of what a person waits between "set" and the answer
ACTOR = Actor("plantroom/ingest")

log = logging.getLogger(__name__)


class Commands:
    """Sends what was given while the broker answers; ``publish`` takes topic and payload."""

    def __init__(
        self,
        database: Database,
        publish: Callable[[str, bytes], None],
        connected: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._publish = publish
        self._connected = connected
        self._clock = clock
        self._sending = Streak("sending commands")

    async def run(self) -> None:
        """Send what is due until cancelled."""
        while True:
            if self._connected():
                await self._sending.attempt(self._send())
            await asyncio.sleep(LOOK_EVERY_S)

    async def _send(self) -> None:
        async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
            due = await outbox.send(tx, self._clock())
        for one in due:  # after the commit: a lost message is sent again, an unknown one never was
            topic = Topic(one.site, Verb.DCMD, one.gateway, one.device)
            metric = command_metric(one.device, _command(one))
            self._publish(str(topic), encode(Payload(None, None, (metric,))))

    async def take(self, answered: Sequence[Answered]) -> None:
        """Store answers, then tell the gateways that they need not say them again."""
        for one in answered:
            address = one.speaker.address
            try:
                for answer in one.answers:
                    async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
                        await outbox.close(tx, *address, answer, self._clock())
            except UnavailableError as error:
                log.warning("an answer of gateway %s waits: %s", address.gateway, error)  # it says it again
                continue
            heard = " ".join(answer.id for answer in one.answers)
            metric = Metric(name=topics.ANSWERED, value=heard, datatype=DataType.STRING)
            self._publish(str(Topic(address.site, Verb.NCMD, address.gateway)), encode(Payload(None, None, (metric,))))


def _command(due: Due) -> Command:
    return Command(
        str(due.id), f"{due.device}.{due.measure}", due.value, due.issued_at, due.expires_at, due.given_by, due.seconded
    )
