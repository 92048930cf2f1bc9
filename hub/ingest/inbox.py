"""The bounded queue between the MQTT client's thread and the event loop."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from hub.ingest.acts import HEAD_BYTES
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX

QUEUE_MAX = 20_000  # messages
QUEUE_BYTES_MAX = 64 * 1024 * 1024
BATCH_BYTES_MAX = 1024 * 1024  # some 40,000 readings; what arrives meanwhile waits for them


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message; ``payload`` is only its beginning where ``size`` is above the limit of the wire."""

    topic: str
    payload: bytes
    size: int
    arrived_at: datetime | None = field(default=None, compare=False)

    @property
    def head(self) -> bytes:
        """The beginning, for quarantine."""
        return self.payload[:HEAD_BYTES]


def message(topic: str, payload: bytes, arrived_at: datetime | None = None) -> Message:
    """Make a message that cannot fill the memory."""
    size = len(payload)
    return Message(topic, payload if size <= PAYLOAD_BYTES_MAX else payload[:HEAD_BYTES], size, arrived_at)


def reconnected() -> Message:
    """Make the mark that stands before the first message of a new connection: some may have been missed."""
    return Message("", b"", 0)


class Inbox:
    """Takes messages from any thread, gives them in batches.

    A full inbox refuses: only what was committed is acknowledged, so the edge sends it again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._messages: deque[Message] = deque()
        self._ready = asyncio.Event()
        self._bytes = 0
        self._taken_bytes = 0
        self._closed = False
        self.refused = self.given = 0

    def __len__(self) -> int:
        return len(self._messages)

    def oldest_at(self) -> datetime | None:
        """Give when the oldest message that waits arrived; asked from any thread."""
        try:
            return self._messages[0].arrived_at
        except IndexError:
            return None

    def offer(self, one: Message) -> None:
        """Take a message; called on the client's thread only."""
        held = self._bytes - self._taken_bytes  # each counter has one writer
        if self._closed or len(self._messages) >= QUEUE_MAX or held + len(one.payload) > QUEUE_BYTES_MAX:
            self.refused += 1
            return
        self.mark(one)

    def mark(self, one: Message) -> None:
        """Take a message however full it is; called on the client's thread only."""
        self._bytes += len(one.payload)
        self._messages.append(one)
        if not self._ready.is_set():
            with suppress(RuntimeError):  # the loop has closed: nobody asks any more
                self._loop.call_soon_threadsafe(self._ready.set)

    def close(self) -> None:
        """Refuse what comes from now on; what is there is still given."""
        self._closed = True
        self._ready.set()

    async def gather(self, most: int, wait_s: float) -> list[Message]:
        """Wait for a message, then ``wait_s`` for more; gives 1 to ``most``, none once it is closed and empty.

        A batch ends at BATCH_BYTES_MAX, so that it stays a matter of a second for the database.
        """
        while not self._messages and not self._closed:
            self._ready.clear()
            if not self._messages:
                await self._ready.wait()
        if len(self._messages) < most and not self._closed:
            await asyncio.sleep(wait_s)
        batch: list[Message] = []
        taken = 0
        while self._messages and len(batch) < most and taken < BATCH_BYTES_MAX:
            batch.append(self._messages.popleft())
            taken += len(batch[-1].payload)
        self._taken_bytes += taken
        self.given += len(batch)
        return batch
