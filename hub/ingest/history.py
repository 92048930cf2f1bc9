"""History from files: a dry run says what would be stored, then the very same is stored, by the path of all readings.

Nothing that is there is overwritten, latest never moves back, and nobody is paged: rules judge what is live.  A file
that is brought twice adds nothing.  Which readings came from which file is kept for ever (``moments``).
"""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hub.access.rights import Right
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.ingest import storage
from hub.ingest.rows import Already, Import
from hub.ingest.samples import Columns, moment
from hub.readings import query
from hub.readings.history import FAULTS_KEPT, Fault, Found, Target, read, twice
from hub.readings.rows import SiteName
from hub.store.database import Role, Transaction
from hub.store.sql import queries
from hub.workers import Workers
from rules.model.sheet import cell_text

SQL = queries(__package__)
AT_ONCE = 50_000  # readings compared or stored in one statement
WEEKS_MAX = 800  # partitions that one file may ask for: 15 years
FILES_KEPT = 5  # that wait for the word to store them, of one organisation
FILE_LIFE = timedelta(days=1)
NAME_CHARACTERS_MAX = 200
LISTED_MAX = 50
READERS = Workers("history", 1, 2, "Other files are being read; send this one again in a minute.", 10)
FORBIDDEN = "Your role does not include importing readings; ask an engineer."
PART = "A file of history is for a whole site, and your role is for a part of this one; ask an engineer of the site."
GONE = "This file was kept for a day and is gone; send it again."
STORED = "This file has been stored already."
MEANWHILE = "Readings of these points came in at the same moments meanwhile; check the file again."
TOO_SPREAD = f"This file reaches over more than {WEEKS_MAX} weeks; cut it into several."


@dataclass(frozen=True, slots=True)
class Judged:
    """A file as it would be stored now: ``fresh`` are the new readings, the rest are counted and explained."""

    readings: int
    fresh: Columns
    duplicates: int
    conflicts: int
    refused: int
    faults: tuple[Fault, ...]

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment of the new readings."""
        at = self.fresh.at
        return (moment(int(at.min())), moment(int(at.max()))) if len(at) else (None, None)

    @property
    def counts(self) -> dict[str, int]:
        """How many readings became what."""
        return {
            "readings": self.readings, "good": len(self.fresh), "duplicates": self.duplicates,
            "conflicts": self.conflicts, "refused": self.refused,
        }  # fmt: skip


Opener = Callable[[], AbstractAsyncContextManager[Transaction]]


async def check(opened: Opener, site_code: str, name: str, body: bytes, now: datetime) -> UUID:
    """Keep a file with what would become of it (a dry run); gives the number under which it is stored later.

    ``opened`` opens a transaction in the name of who asks: none is held while the file is read.  Raises InvalidError
    for a file that cannot be used at all, NotFoundError for a site, ForbiddenError.
    """
    judged, site = await judge(opened, site_code, body, now)
    first_at, last_at = judged.span
    values = {
        "site": site.id, "name": _clean(name), "sha256": hashlib.sha256(body).hexdigest(), "size_bytes": len(body),
        "now": now, **judged.counts, "first_at": first_at, "last_at": last_at, "report": report_of(judged),
    }  # fmt: skip
    async with opened() as tx:
        await _hold(tx, now)
        number: UUID = await tx.value(SQL["put_import"], {**values, "by": tx.actor.name})
        await tx.run(SQL["keep_import_file"], {"import": number, "body": zlib.compress(body, 1)})
        await audit.record(tx, "checked", "import", number, _told(values, site))
    return number


async def store(opened: Opener, number: UUID, now: datetime) -> Import:
    """Store the file of a dry run, as it would be stored now; stored already: raises ConflictError.

    Raises NotFoundError where it is gone.  What came in at the same moments meanwhile is judged anew.
    """
    async with opened() as tx:
        found = await imported(tx, number)
        if found.state == "stored":
            raise ConflictError(STORED)
        packed = await tx.value(SQL["import_file"], {"import": number})
    if packed is None:
        raise NotFoundError(GONE)
    judged, site = await judge(opened, found.site, zlib.decompress(packed), now)
    for week in judged.fresh.weeks():  # apart, as in storage.make_weeks
        async with opened() as tx, tx.under(Role.INGEST):
            await tx.run(SQL["ensure_week"], {"week": week.date()})
    async with opened() as tx:
        await _store(tx, found, site, judged, now)
        return await imported(tx, number)


async def judge(opened: Opener, site_code: str, body: bytes, now: datetime) -> tuple[Judged, SiteName]:
    """Say what of a file is new, known, contradicted or unusable, and write nothing."""
    async with opened() as tx:
        site = await query.site_named(tx, site_code)
        await _allow(tx, site)
        targets = {one.code: one for one in await tx.all(Target, SQL["import_targets"], {"site": site.id})}
    found = await READERS.run(read, body, site.code, ZoneInfo(site.timezone), targets, now)
    names = {one.id: one.code for one in targets.values()}
    once, twins, contradictions = await READERS.run(_once, found, names)
    if len(once.columns.weeks()) > WEEKS_MAX:
        raise InvalidError(TOO_SPREAD)
    async with opened() as tx:
        fresh, known, contradicted = await _compared(tx, once, found, names)
    faults = tuple(sorted(found.faults, key=lambda fault: fault.row))
    readings, duplicates, conflicts = len(found.row) + found.refused, twins + known, contradictions + contradicted
    return Judged(readings, fresh, duplicates, conflicts, found.refused, faults), site


@dataclass(frozen=True, slots=True)
class _Once:
    """The readings of a file, each moment of a point once; ``rows`` says where they stand."""

    columns: Columns
    rows: NDArray[np.int64]

    def some(self, which: slice | NDArray[np.bool_]) -> "_Once":
        one = self.columns
        cut = Columns(one.point[which], one.at[which], one.value[which], one.quality[which], one.live[which])
        return _Once(cut, self.rows[which])


def _once(found: Found, names: Mapping[int, str]) -> tuple[_Once, int, int]:
    """Sort a file's readings; of several at one moment the first in the file counts, and others are told."""
    point, at, value, quality = found.columns()
    keep = np.ones(len(point), bool)
    conflicts = 0
    for first, other in twice(found):
        keep[other] = False
        if not _same(value[first], value[other]):
            conflicts += 1
            sentence = f"Row {found.row[first]} has another value at the same moment; that one is taken."
            found.note(found.row[other], names[int(point[other])], sentence)
    duplicates = int((~keep).sum()) - conflicts
    order = np.lexsort((at, point))
    order = order[keep[order]]
    columns = Columns(point[order], at[order], value[order], quality[order], np.zeros(len(order), bool))
    return _Once(columns, np.frombuffer(found.row, np.int64)[order]), duplicates, conflicts


async def _compared(tx: Transaction, once: _Once, found: Found, names: Mapping[int, str]) -> tuple[Columns, int, int]:
    """Leave out what is stored already: the same value is known, another one contradicts and stays."""
    new = np.ones(len(once.rows), bool)
    contradicted = 0
    async with tx.under(Role.INGEST):
        for start in range(0, len(once.rows), AT_ONCE):
            part = once.some(slice(start, start + AT_ONCE))
            one = part.columns
            asked = {
                "points": one.point.tolist(), "ats": one.at.tolist(),
                "first": moment(int(one.at.min())), "last": moment(int(one.at.max())),
            }  # fmt: skip
            for already in await tx.all(Already, SQL["stored_already"], asked, afresh=True):
                i = already.n - 1
                new[start + i] = False
                if not _same(one.value[i], float("nan") if already.value is None else already.value):
                    contradicted += 1
                    said = "none" if already.value is None else f"{already.value:g}"
                    sentence = f"Stored at this moment is {said}; it stays. Correct it there if it is wrong."
                    found.note(int(part.rows[i]), names[int(one.point[i])], sentence)
    return once.some(new).columns, int((~new).sum()) - contradicted, contradicted


async def _store(tx: Transaction, found: Import, site: SiteName, judged: Judged, now: datetime) -> None:
    await _hold(tx, now)
    first_at, last_at = judged.span
    values = {**judged.counts, "first_at": first_at, "last_at": last_at, "report": report_of(judged)}
    if not await tx.run(SQL["store_import"], {**values, "import": found.id, "now": now, "by": tx.actor.name}):
        raise ConflictError(STORED)
    for point, moments in _by_point(judged.fresh):
        said = {"n": len(moments), "first_at": moment(int(moments[0])), "last_at": moment(int(moments[-1]))}
        await tx.run(SQL["add_import_point"], {"import": found.id, "point": point, **said, "moments": packed(moments)})
    async with tx.under(Role.INGEST):
        await _write(tx, judged.fresh)
    await tx.run(SQL["drop_import_files"], {"import": found.id, "before": now - FILE_LIFE, "most": FILES_KEPT})
    await tx.run(SQL["announce"], {"kind": "latest", "id": tx.organisation, "organisation": tx.organisation})
    told = {"name": found.name, "sha256": found.sha256, **values}
    await audit.record(tx, "imported", "import", found.id, _told(told, site))


async def _write(tx: Transaction, fresh: Columns) -> None:
    """Store by the path of all readings; raises ConflictError where something came in at the same moments meanwhile."""
    for start in range(0, len(fresh), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        samples = Columns(fresh.point[part], fresh.at[part], fresh.value[part], fresh.quality[part], fresh.live[part])
        if await storage.store(tx, samples) != len(samples):
            raise ConflictError(MEANWHILE)
        await storage.move_latest(tx, samples)
        await storage.mark_dirty(tx, samples)


async def imports(tx: Transaction) -> list[Import]:
    """Give the last files, newest first."""
    return await tx.all(Import, SQL["imports"], {"import": None, "most": LISTED_MAX})


async def imported(tx: Transaction, number: UUID) -> Import:
    """Give a file and what became of it; raises NotFoundError."""
    return await tx.one(Import, SQL["imports"], {"import": number, "most": 1}, what="import")


async def report(tx: Transaction, number: UUID) -> bytes:
    """Give what was refused of a file and why, as CSV; raises NotFoundError."""
    found = await tx.value(SQL["import_report"], {"import": number})
    if found is None:
        raise NotFoundError("There is no such import.")
    return gzip.decompress(found)


async def moments(tx: Transaction, number: UUID, point_id: int) -> list[datetime]:
    """Give the moments of a point whose readings came from a file."""
    found = await tx.value(SQL["import_moments"], {"import": number, "point": point_id})
    return [] if found is None else [moment(us) for us in unpacked(found).tolist()]


def report_of(judged: Judged) -> bytes:
    """Give the rows of a file that were refused or contradicted, as CSV (gzip)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["row", "point", "problem"])
    writer.writerows([one.row, cell_text(one.point), cell_text(one.sentence)] for one in judged.faults)
    if len(judged.faults) == FAULTS_KEPT:
        writer.writerow(["", "", f"Only the first {FAULTS_KEPT} problems are written down."])
    return gzip.compress(text.getvalue().encode(), 6, mtime=0)


def packed(moments_us: NDArray[np.int64]) -> bytes:
    """Give sorted moments in a few bytes: regular ones have regular differences."""
    return zlib.compress(np.diff(moments_us, prepend=0).astype("<i8").tobytes(), 6)


def unpacked(said: bytes) -> NDArray[np.int64]:
    """Give the moments of ``packed``."""
    return np.cumsum(np.frombuffer(zlib.decompress(said), "<i8")).astype(np.int64)


def _by_point(fresh: Columns) -> Iterator[tuple[int, NDArray[np.int64]]]:
    cuts = np.flatnonzero(fresh.point[1:] != fresh.point[:-1]) + 1
    for start, end in pairwise([0, *cuts.tolist(), len(fresh)]):
        if end > start:
            yield int(fresh.point[start]), fresh.at[start:end]


async def _hold(tx: Transaction, now: datetime) -> None:
    """Let one import of an organisation be noted at a time, and drop what nobody stored."""
    await tx.run(SQL["hold_import"])
    await tx.run(SQL["drop_import_files"], {"import": None, "before": now - FILE_LIFE, "most": FILES_KEPT - 1})


async def _allow(tx: Transaction, site: SiteName) -> None:
    """Raise ForbiddenError for whoever may not bring history for a whole site."""
    if tx.actor.rights is not None and not tx.actor.may(Right.IMPORT_READINGS):
        raise ForbiddenError(FORBIDDEN)
    if not await tx.value(SQL["covers_site"], {"site": site.id}):
        raise ForbiddenError(PART)


def _told(values: Mapping[str, Any], site: SiteName) -> dict[str, Any]:
    kept = ("name", "sha256", "readings", "good", "duplicates", "conflicts", "refused")
    span = {name: values[name].isoformat() if values[name] else "" for name in ("first_at", "last_at")}
    return {"site": site.code, **{name: values[name] for name in kept}, **span}


def _clean(name: str) -> str:
    bare = "".join(sign for sign in name.replace("\\", "/").rpartition("/")[2] if sign.isprintable())
    return bare.strip()[:NAME_CHARACTERS_MAX] or "file"


def _same(one: float, other: float) -> bool:
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124  nan: there is none
