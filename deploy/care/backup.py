"""Make a backup: files first, then the database in one snapshot, then the whole archive is read again."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from deploy.care import dump, files
from deploy.care.archive import Manifest, Reader, Writer
from deploy.care.lock import Lock
from deploy.logins import hub_dsn
from deploy.register import ACTOR
from deploy.settings import Settings
from hub.audit import service as audit
from hub.health import service as health
from hub.health.rows import Mark
from hub.store.database import Database, Role

MARKS_SINCE = 28  # the migration that brought them
log = logging.getLogger(__name__)

Telling = Callable[[str, int, int], None]


class OutputError(Exception):
    """The archive cannot be written there: the sentence says why."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: what is in it, its size, and the secret files that are not."""

    manifest: Manifest
    size: int
    schema: int
    missing: list[Path]
    verified: bool
    took_s: float

    @property
    def rows(self) -> int:
        """How many rows of the database it holds."""
        return sum(part.rows for part in self.manifest.parts.values())


def make(settings: Settings, dsn: str, target: Path | None, out: IO[bytes], passphrase: str, tell: Telling) -> Made:
    """Write a backup to ``target``, or to ``out`` where that is None, and record it.

    Raises NotOursError, OutputError, ArchiveError and FilesError; a file that was begun does not stay.
    """
    began = datetime.now(UTC)
    lock = Lock.new(passphrase) if passphrase else None
    hub = hub_dsn(settings, dsn)
    found = {one: files.read(one) for one in files.kept(settings) if lock or not one.secret}
    with dump.opened(dsn) as connection, _opened(target, out) as stream:
        head = dump.begin(connection)
        asyncio.run(_record(hub, {"schema": head["schema"], "encrypted": bool(lock)}))
        writer = Writer(stream, {**head, "program": version("plantroom"), "made_at": began.isoformat()}, lock)
        for one, body in found.items():
            if body is not None:
                writer.begin(one.name)
                writer.add(body)
        manifest = writer.close(dump.dump(connection, writer, tell))
    if target is not None:
        verified = verify(target, passphrase, tell)
        assert verified.parts == manifest.parts
    took_s = (datetime.now(UTC) - began).total_seconds()
    made = Made(
        manifest,
        writer.size,
        head["schema"],
        files.missing(settings, manifest.parts),
        target is not None,
        took_s,
    )
    done = {"event": "backup.made", "took_s": took_s, "counts": {"rows": made.rows, "bytes": made.size}}
    log.info("backup of %d rows, %d bytes", made.rows, made.size, extra=done)
    if made.schema >= MARKS_SINCE:
        asyncio.run(_mark(hub, made, began))
    return made


def named(folder: Path, now: datetime) -> Path:
    """Give the file of a backup in a folder of backups; by name they stand in the order of time."""
    return folder / f"plantroom-{now:%Y%m%dT%H%M%SZ}.backup"


def drop_old(folder: Path, keep: int) -> None:
    """Keep the newest of the files that ``named`` named; nothing else in the folder is touched."""
    for old in sorted(folder.glob("plantroom-????????T??????Z.backup"))[:-keep]:
        old.unlink()


def verify(path: Path, passphrase: str, tell: Telling) -> Manifest:
    """Read a whole archive and give its manifest; raises ArchiveError where anything is not as it was written."""
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = Reader(file, passphrase)
        for name, _ in reader.pieces():
            tell(f"check {name}", reader.size, size)
    assert reader.manifest is not None
    return reader.manifest


@contextmanager
def _opened(target: Path | None, out: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give the stream; a file appears under its name when it is whole and on the disk."""
    if target is None:
        yield out
        return
    part = target.with_name(target.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise OutputError(f"The backup cannot be written to {target} ({error.strerror}).") from error
    finally:
        part.unlink(missing_ok=True)  # what was begun and is not whole


async def _record(hub: str, told: dict[str, object]) -> None:
    """Record with every organisation that its data was copied, before the first row is."""
    database = Database(hub, pool_max=1)
    await database.open()
    try:
        async with database.transaction(None, ACTOR, Role.INGEST) as tx:
            all_of_them = await health.tenancies(tx)
        for one in all_of_them:
            async with database.transaction(one.id, ACTOR) as tx:
                await audit.record(tx, "backed up", "organisation", one.id, told)
    finally:
        await database.close()


async def _mark(hub: str, made: Made, began: datetime) -> None:
    database = Database(hub, pool_max=1)
    await database.open()
    said = f"{made.rows} rows, {made.size} bytes{'' if made.verified else ', not read again'}"
    try:
        async with database.transaction(None, ACTOR, Role.INGEST) as tx:
            now = datetime.now(UTC)
            await health.put(tx, Mark("backup", health.BACKUP, began, now, made.took_s, 0, said, float(made.size)))
    finally:
        await database.close()
