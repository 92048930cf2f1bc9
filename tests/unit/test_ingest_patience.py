"""Ingest waits for its database, and does not let one message that it refuses hold up the rest."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
import pytest

from hub.errors import UnavailableError
from hub.ingest import service
from hub.ingest.acts import HEAD_BYTES, Act, Address, Birth, Frame, Rejected, Sample, Samples, Speaker
from hub.ingest.commit import Outcome
from hub.ingest.inbox import BATCH_BYTES_MAX, QUEUE_MAX, Inbox, message
from hub.ingest.link import Broker
from hub.ingest.service import Ingest
from hub.streak import Streak
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ADDRESS = Address("S", "G")


class Committed:
    """Stands for the committer: remembers what it was given, refuses what it was told to."""

    def __init__(self, failures: Sequence[Exception] = (), poison: int = 0) -> None:
        self.failures = list(failures)
        self.poison = poison
        self.acts: list[Act] = []

    async def commit(self, acts: Sequence[Act], _now: datetime) -> Outcome:
        if self.failures:
            raise self.failures.pop(0)
        if any(isinstance(act, Frame) and act.number == self.poison and act.samples for act in acts):
            raise psycopg.DataError("no")
        self.acts.extend(acts)
        return Outcome({}, frozenset())

    def forget(self) -> None:
        pass


def ingest(committer: Committed) -> Ingest:
    async def judge(*_: object) -> None:
        pass

    made = Ingest(cast("Any", None), Broker("127.0.0.1", 1), judge, lambda: NOW)
    made._committer = cast("Any", committer)
    return made


def frame(number: int) -> Frame:
    samples = Samples()
    samples.add(Sample("energy", NOW, 1.0, 192, historical=False))
    return Frame(Speaker(ADDRESS, "a"), Birth("D", {}, {}), number, samples, "t")


async def test_a_batch_waits_for_the_database_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "RETRY_FIRST_S", 0.001)
    committer = Committed([UnavailableError("The database is away."), psycopg.InterfaceError("closed")])
    made = ingest(committer)
    await made._commit([frame(1)])
    assert len(committer.acts) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "The database is away." in caplog.text
    assert "answers again" in caplog.text


async def test_a_frame_that_the_database_refuses_is_consumed_empty_and_the_others_are_stored() -> None:
    committer = Committed(poison=5)
    await ingest(committer)._commit([frame(number) for number in range(1, 9)])
    taken = [(act.number, len(act.samples)) for act in committer.acts if isinstance(act, Frame)]
    assert taken == [(number, 0 if number == 5 else 1) for number in range(1, 9)]


async def test_an_act_that_the_database_refuses_twice_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    committer = Committed([psycopg.DataError("no"), psycopg.DataError("no")])
    await ingest(committer)._commit([frame(1)])
    assert [type(act) for act in committer.acts] == [Rejected]
    assert "left out for good" in caplog.text


async def test_the_inbox_is_bounded_in_messages_and_in_bytes() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    for _ in range(QUEUE_MAX + 5):
        inbox.offer(message("t", b"x"))
    assert (len(inbox), inbox.refused) == (QUEUE_MAX, 5)
    assert len(await inbox.gather(100, 0)) == 100
    big = message("t", bytes(PAYLOAD_BYTES_MAX + 1))
    assert (len(big.payload), big.size) == (HEAD_BYTES, PAYLOAD_BYTES_MAX + 1)
    full = Inbox(asyncio.get_running_loop())
    for _ in range(300):
        full.offer(message("t", bytes(PAYLOAD_BYTES_MAX)))
    assert (len(full), full.refused) == (256, 44)
    full.close()
    assert [len(await full.gather(1000, 0)) for _ in range(64)] == [BATCH_BYTES_MAX // PAYLOAD_BYTES_MAX] * 64
    assert await full.gather(1000, 0) == []


async def test_a_streak_of_failures_is_said_at_its_begin_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise KeyError("x")

    async def work() -> None:
        pass

    streak = Streak("the job 'x'")
    assert [await streak.attempt(fail()) for _ in range(3)] == [False] * 3
    assert await streak.attempt(work())
    assert [record.getMessage() for record in caplog.records] == [
        "the job 'x' has failed; it goes on trying, and says so once",
        "the job 'x' works again after 3 failures",
    ]
