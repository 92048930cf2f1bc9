"""Lists as CSV: exactly what is shown, machine-readable numbers, UTC times."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastapi import Response

BOM = "\ufeff"  # without it a spreadsheet takes Chinese for Latin-1
FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the full-width ones too: spreadsheets take them for their twins


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> Response:
    """Give rows as a CSV file to keep; the keys of the first are the heads."""
    text = io.StringIO()
    if rows:
        writer = csv.writer(text)
        writer.writerow(rows[0].keys())
        writer.writerows([[cell(value) for value in row.values()] for row in rows])
    headers = {"Content-Disposition": f'attachment; filename="{name}-{datetime.now(UTC):%Y%m%d-%H%M}.csv"'}
    return Response((BOM + text.getvalue()).encode(), media_type="text/csv; charset=utf-8", headers=headers)


def cell(value: object) -> str:
    """Give a value as a cell; text never begins as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = str(value)
    starts_formula = text[:1] in FORMULA_STARTS and not isinstance(value, int | float)
    return f"'{text}" if text and starts_formula else text
