"""The judge's surroundings for tests: readings that become the latest, and the clock of the second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.alarms.definitions import load
from hub.alarms.judgement import judge, tick
from hub.alarms.rows import Change, Turned
from hub.store.database import Actor, Database, Role, Transaction
from hub.work.dispatch import dispatch_for
from hub.work.verification import verify
from rules.detect.book import RuleBook
from rules.model.quality import Quality
from tests.builders import Park

START = datetime(2026, 11, 23, 2, tzinfo=UTC)
RIVERSIDE_RULES = Path(__file__).parents[1] / "deploy" / "sites" / "riverside.rules.yaml"
INGEST = Actor("plantroom/ingest")

PUT_LATEST = b"""INSERT INTO latest (point_id, at, value, quality) VALUES (%(point)s, %(at)s, %(value)s, %(quality)s)
ON CONFLICT (point_id) DO UPDATE SET at = excluded.at, value = excluded.value, quality = excluded.quality
WHERE latest.at < excluded.at"""


def without_silence() -> RuleBook:
    """The rules of the training building, but for those about silent devices."""
    return RuleBook(tuple(rule for rule in load([RIVERSIDE_RULES]).rules if not rule.code.endswith("-stale")))


def moment(second: float) -> datetime:
    """That many seconds after the start of the story."""
    return START + timedelta(seconds=second)


Said = tuple[float, str, float | None]  # second, code of the point, value (None: bad)


@dataclass
class Judge:
    """Plays ingest and the job of the second against a database."""

    database: Database
    park: Park
    book: RuleBook = field(default_factory=lambda: load([RIVERSIDE_RULES]))
    heard_since: datetime = START

    async def hear(self, *said: Said) -> list[Turned]:
        """One batch, in one transaction, as ingest does it."""
        changes = [self._change(*one) for one in said]
        async with self.database.transaction(self.park.organisation, INGEST, Role.INGEST) as tx:
            await self._store(tx, changes)
            await tx.become(Role.APP)
            now = max(change.at for change in changes)
            turned = await judge(tx, self.book, changes, now)
            await dispatch_for(tx, self.book, turned, now)
            return turned

    async def store(self, *said: Said) -> None:
        """Backfill: stored and latest moved, but nobody judges."""
        async with self.database.transaction(self.park.organisation, INGEST, Role.INGEST) as tx:
            await self._store(tx, [self._change(*one) for one in said])

    async def wait(self, second: float) -> list[Turned]:
        """The job of the second, at that second."""
        async with self.database.transaction(self.park.organisation, Actor("plantroom/jobs")) as tx:
            turned = await tick(tx, self.book, moment(second), self.heard_since)
            await dispatch_for(tx, self.book, turned, moment(second))
            await verify(tx, self.book, moment(second))
            return turned

    def _change(self, second: float, code: str, value: float | None) -> Change:
        device, _, measure = code.rpartition(".")
        quality = Quality.BAD if value is None else Quality.GOOD
        point = self.park.points[code]
        return Change(point, self.park.devices[device], measure, moment(second), value, quality)

    @staticmethod
    async def _store(tx: Transaction, changes: Sequence[Change]) -> None:
        rows = [{"point": c.point_id, "at": c.at, "value": c.value, "quality": c.quality} for c in changes]
        await tx.run_many(PUT_LATEST, rows)


def air(second: float, supply: float | None, setpoint: float = 16.0, fan: float = 1.0) -> list[Said]:
    """One poll of the air handling unit."""
    return [
        (second, "AHU-A.supply_temp", supply),
        (second, "AHU-A.supply_setpoint", setpoint),
        (second, "AHU-A.fan_running", fan),
    ]
