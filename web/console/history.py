"""Import of history: a file, what would become of each row, and the word to store it."""

import csv
import io
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Response, UploadFile
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.errors import InvalidError
from hub.ingest import history
from hub.readings.history_cells import FILE_BYTES_MAX, ROWS_MAX
from web.export import BOM
from web.forms import ALONE
from web.session import Needs, Visit

router = APIRouter()
ImportVisit = Annotated[Visit, Depends(Needs(Right.IMPORT_READINGS))]
SHOWN_MAX = 100  # problems on the page; all of them are in the file


@router.get("/readings/import")
async def show(visit: ImportVisit) -> HTMLResponse:
    """Show the last files and the form for another."""
    async with visit.transaction() as tx:
        said = {"imports": await history.imports(tx), "sites": await visit.sites(tx)}
        return await visit.page(
            tx, "console/imports.html", **said, megabytes=FILE_BYTES_MAX // 1_000_000, rows=ROWS_MAX
        )


@router.post("/readings/import")
async def check(visit: ImportVisit, file: UploadFile, site: Annotated[str, Form(max_length=64)]) -> Response:
    """Read a file and keep what would become of it; nothing is stored yet."""
    body = await file.read(FILE_BYTES_MAX + 1)
    if not body:
        raise InvalidError("Choose the file first.")
    number = await history.check(visit.transaction, site, file.filename or "", body, visit.now)
    return visit.go(f"/readings/import/{number}")


@router.get("/readings/import/{import_id}")
async def one(visit: ImportVisit, import_id: UUID) -> HTMLResponse:
    """Show what would become, or has become, of a file."""
    async with visit.transaction() as tx:
        found = await history.imported(tx, import_id)
        problems = _problems(await history.report(tx, import_id))
        return await visit.page(tx, "console/import.html", found=found, problems=problems, most=SHOWN_MAX)


@router.post("/readings/import/{import_id}", dependencies=ALONE)
async def store(visit: ImportVisit, import_id: UUID) -> Response:
    """Store a file that was checked."""
    await history.store(visit.transaction, import_id, visit.now)
    return visit.go(f"/readings/import/{import_id}")


@router.get("/readings/import/{import_id}/problems.csv")
async def problems(visit: ImportVisit, import_id: UUID) -> Response:
    """Give every problem of a file as CSV."""
    async with visit.transaction() as tx:
        report = await history.report(tx, import_id)
    headers = {"Content-Disposition": f'attachment; filename="import-{import_id}-problems.csv"'}
    return Response(BOM.encode() + report, media_type="text/csv; charset=utf-8", headers=headers)


def _problems(report: bytes) -> list[dict[str, Any]]:
    return list(islice(csv.DictReader(io.StringIO(report.decode())), SHOWN_MAX))
