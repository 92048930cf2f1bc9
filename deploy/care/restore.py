"""Bring a backup back: read the whole archive first, then fill the database at once, then the files, then migrate."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.care import backup, dump, files, load
from deploy.care.archive import Reader
from deploy.logins import prepare
from deploy.settings import Settings

log = logging.getLogger(__name__)

Telling = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: rows by table, the backup's migration, sentences about the files."""

    rows: dict[str, int]
    schema: int
    files: list[str]
    made_at: str


def restore(settings: Settings, dsn: str, path: Path, passphrase: str, tell: Telling, *, replace: bool) -> Restored:
    """Restore ``path`` into the database of ``dsn`` (its owner's login).

    Raises ArchiveError, WrongPassphraseError, RestoreRefusedError and FilesError; until the last row is in, nothing
    that others see has changed, so it may be interrupted and begun again.
    """
    with dump.opened(dsn) as connection:
        connection.autocommit = True
        with path.open("rb") as file:
            schema = max(load.check_head(Reader(file, passphrase).head))
        load.check_target(connection, replace=replace)
        manifest = backup.verify(path, passphrase, tell)
        with path.open("rb") as file:
            reader = Reader(file, passphrase)
            rows, beside = load.load(connection, reader, manifest, path.stat().st_size, tell)
    said = files.put_back(settings, beside)
    prepare(settings, dsn)
    log.info("restored %d rows", sum(rows.values()), extra={"event": "restore.done", "counts": rows})
    return Restored(rows, schema, said, str(reader.head.get("made_at", "")))
