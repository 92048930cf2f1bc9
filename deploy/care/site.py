"""Everything of one site in open formats: a CSV file for each table, one for the readings of each point, a manifest.

Read in one snapshot, in the name of the organisation and confined to the site by the same row-level policies that
confine a person there; streamed row by row.  What people are seen by (stills, badges) is not in it: that is given out
to them, by ``plantroom privacy export``.
"""

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID

import psycopg
from psycopg import sql

from deploy.care.catalogue import Connection
from deploy.care.dump import opened

NAME_CHARACTERS_MAX = 180
LEFT_OUT = {  # what is kept at a place, but is about people or is somebody else's rubbish
    "stills": "pictures of people", "badge_events": "who went where", "badge_holders": "names of people",
    "contacts": "names of people", "bank_accounts": "account numbers", "quarantine": "what could not be used",
    "audit_entries": "the record is exported by plantroom audit export",
    "correction_photos": "pictures, which may show people",
}  # fmt: skip
_PLACED = b"""
SELECT c.relname::text,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND has_column_privilege('plantroom_app', c.oid, a.attnum, 'SELECT'))
FROM pg_class c JOIN pg_policies p ON p.schemaname = 'public' AND p.tablename = c.relname
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND p.policyname = 'place'
  AND has_any_column_privilege('plantroom_app', c.oid, 'SELECT')
ORDER BY 1"""
_ABOUT = {
    "times": "UTC, ISO 8601",
    "value": "empty: nothing was measured, which is never zero",
    "quality": "192 good, 216 read by hand, 64 uncertain, 500 stale, 0 bad",
    "text": "as it is, for programs; a spreadsheet may take cells that begin with = for formulas",
}
Telling = Callable[[str, int, int], None]


class ExportRefusedError(Exception):
    """Nothing is written: the sentence says why."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: rows of tables, points, readings."""

    rows: int
    points: int
    readings: int


@dataclass(slots=True)
class _File:
    """A file that is being written: gzip or plain, counted and hashed as it lies on the disk."""

    target: IO[bytes]
    sha256: Any
    size: int = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self.target.write(data)

    def flush(self) -> None:
        self.target.flush()


class Folder:
    """The folder of an export; it appears under its name when it is whole."""

    def __init__(self, out: Path) -> None:
        """Begin beside ``out``; raises ExportRefusedError where something stands there."""
        if out.exists():
            raise ExportRefusedError(f"{out} is there already; name a folder that is not.")
        self._out, self._part = out, out.with_name(out.name + ".part")
        shutil.rmtree(self._part, ignore_errors=True)  # of an export that was interrupted
        self._part.mkdir(mode=0o700, parents=True)
        (self._part / "readings").mkdir()
        self.files: dict[str, dict[str, object]] = {}

    def write(self, name: str, head: str, lines: Iterator[bytes]) -> int:
        """Write one CSV file and give how many rows it has; ``name`` with .gz is packed."""
        rows = 0
        with (self._part / name).open("wb") as target:
            file = _File(target, hashlib.sha256())
            with _packed(file) if name.endswith(".gz") else _plain(file) as sink:
                sink.write(head.encode() + b"\n")
                for line in lines:
                    sink.write(line)
                    rows += 1
        self.files[name] = {"rows": rows, "bytes": file.size, "sha256": file.sha256.hexdigest()}
        return rows

    def close(self, told: dict[str, object]) -> None:
        """Write the manifest and give the folder its name."""
        text = json.dumps({**told, "about": _ABOUT, "files": self.files}, ensure_ascii=False, indent=1)
        with (self._part / "manifest.json").open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._part.rename(self._out)


@contextmanager
def _packed(file: _File) -> Iterator[Any]:
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, mtime=0) as packed:
        yield packed


@contextmanager
def _plain(file: _File) -> Iterator[Any]:
    yield file


def export(hub: str, organisation: UUID, site: UUID, code: str, out: Path, tell: Telling) -> Exported:
    """Write everything of a site into a new folder ``out``; raises ExportRefusedError."""
    folder = Folder(out)
    with opened(hub) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        placed = [(name, tuple(columns)) for name, columns in connection.execute(_PLACED).fetchall()]
        _confine(connection, organisation, site)
        rows = 0
        tables = [one for one in placed if one[0] not in LEFT_OUT]
        for number, (name, columns) in enumerate(tables, 1):
            rows += folder.write(f"{name}.csv", ",".join(columns), _rows(connection, name, columns))
            tell(name, number, len(tables))
        points = connection.execute(b"SELECT id, code FROM points WHERE site_id = %s ORDER BY code", [site]).fetchall()
        readings = 0
        for number, (point, name) in enumerate(points, 1):
            file = f"readings/{_named(name, point)}.csv.gz"
            readings += folder.write(file, "at,value,quality", _readings(connection, point))
            tell(name, number, len(points))
    made = Exported(rows, len(points), readings)
    folder.close(
        {
            "plantroom": "export of a site",
            "site": code,
            "program": version("plantroom"),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "left_out": LEFT_OUT,
            "rows": rows,
            "readings": readings,
        }
    )
    return made


def _confine(connection: Connection, organisation: UUID, site: UUID) -> None:
    """Go on as the application does for somebody who has this site and nothing else."""
    connection.execute(b"SET LOCAL ROLE plantroom_app")
    connection.execute(
        b"""SELECT set_config('plantroom.organisation', %s, true), set_config('plantroom.places', %s, true),
                   set_config('plantroom.tenant', '', true), set_config('plantroom.contractor', '', true)""",
        [str(organisation), str(site)],
    )


def _rows(connection: Connection, table: str, columns: tuple[str, ...]) -> Iterator[bytes]:
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    yield from _copied(
        connection, sql.SQL("COPY (SELECT {} FROM public.{}) TO STDOUT CSV").format(listed, sql.Identifier(table))
    )


def _readings(connection: Connection, point: int) -> Iterator[bytes]:
    asked = sql.SQL("COPY (SELECT at, value, quality FROM readings WHERE point_id = {} ORDER BY at) TO STDOUT CSV")
    yield from _copied(connection, asked.format(sql.Literal(point)))


def _copied(connection: Connection, statement: sql.Composed) -> Iterator[bytes]:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for line in copy:
            yield bytes(line)


def _named(code: str, point: int) -> str:
    """Give a file name that is the point's code wherever that can be one."""
    name = quote(code, safe=" +@=,")
    return name if len(name) <= NAME_CHARACTERS_MAX and name.strip(". ") == name else f"point-{point}"
