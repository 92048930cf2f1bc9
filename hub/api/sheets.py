"""Rows as CSV and XLSX: text never begins as a formula, times are ISO 8601 in UTC, a missing value is an empty cell."""

import csv
import io
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import IO, Self

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from rules.model.sheet import cell_text

BOM = "\ufeff"  # without it a spreadsheet takes Chinese for Latin-1
PIECE_BYTES = 65_536
TEXTS_KEPT = 5_000  # the same codes and units stand in every row
_ILLEGAL: re.Pattern[str] = ILLEGAL_CHARACTERS_RE
Cell = str | int | float | None


def cell(value: object) -> Cell:
    """Give a value as a cell of a spreadsheet."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int | float) else _safe(str(value))


@lru_cache(maxsize=TEXTS_KEPT)
def _safe(text: str) -> str:
    return cell_text(_ILLEGAL.sub("\ufffd", text))


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Give rows as lines of CSV."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([_text(one) for one in row] for row in rows)
    return written.getvalue()


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    said = cell(value)
    return "" if said is None else repr(said) if isinstance(said, float) else str(said)


class Book:
    """One sheet, written row by row to a file on disk; what is not finished is deleted at the end of the block."""

    def __init__(self, title: str, head: Sequence[str]) -> None:
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet(title)
        self._sheet.append(list(head))
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._finished:
            self._save(io.BytesIO())

    def append(self, rows: Iterable[Sequence[object]]) -> None:
        """Write rows."""
        for row in rows:
            self._sheet.append([cell(one) for one in row])

    def file(self) -> IO[bytes]:
        """Give the finished file, at its beginning; whoever closes it deletes it."""
        made = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call
        self._save(made)
        made.seek(0)
        return made

    def _save(self, made: IO[bytes]) -> None:
        self._finished = True
        self._book.save(made)


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Give a file piece by piece, and close it."""
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece
