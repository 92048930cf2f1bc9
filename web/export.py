"""Lists as CSV: exactly what is shown, machine-readable numbers, UTC times."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastapi import Response

from rules.model.sheet import cell_text

BOM = "\ufeff"  # without it a spreadsheet takes Chinese for Latin-1


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Give rows as CSV; the keys of the first are the heads."""
    written = io.StringIO()
    if rows:
        writer = csv.writer(written)
        writer.writerow(rows[0].keys())
        writer.writerows([[cell(value) for value in row.values()] for row in rows])
    return written.getvalue()


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> Response:
    """Give rows as a CSV file to keep; the keys of the first are the heads."""
    headers = {"Content-Disposition": f'attachment; filename="{name}-{datetime.now(UTC):%Y%m%d-%H%M}.csv"'}
    return Response((BOM + text(rows)).encode(), media_type="text/csv; charset=utf-8", headers=headers)


def cell(value: object) -> str:
    """Give a value as a cell; text never begins as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, int | float) else cell_text(str(value))
