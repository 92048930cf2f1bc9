"""Many rows as one file, asked for page by page, each in its own short transaction.

So memory stays flat however many rows there are, and a slow reader holds no connection of the database.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import IO

from fastapi import Response

from hub.api import forms, sheets
from hub.api.forms import Asked, Form
from hub.errors import InvalidError
from hub.workers import Workers

ROWS_PER_READ = 10_000
CSV_ROWS_MOST = 2_000_000
XLSX_ROWS_MOST = 200_000  # some 25 s of one core; a sheet ends at 1,048,576
BOOKS = Workers("sheets", 1, 4, "Too many spreadsheets are being made at once; try again in a minute, or take CSV.", 10)

Rows = Iterable[Sequence[object]]
Pages = Callable[[], AsyncIterator[Rows]]


def most(form: Form) -> int:
    """Give how many rows a file of this form may have."""
    return XLSX_ROWS_MOST if form is Form.XLSX else CSV_ROWS_MOST


def bounded(form: Form, rows: int) -> None:
    """Raise InvalidError where a file would have more rows than it may."""
    if rows > most(form):
        other = " or take CSV" if form is Form.XLSX and rows <= CSV_ROWS_MOST else ""
        raise InvalidError(
            f"This is more than {most(form)} rows, the most that one {form.upper()} file holds; "
            f"ask for a shorter period, fewer points or a coarser resolution{other}."
        )


async def export(wanted: Asked, name: str, head: Sequence[str], pages: Pages) -> Response:
    """Give the file of all pages."""
    if wanted.form is Form.XLSX:
        return forms.file(wanted, name, await _book(name, head, pages))
    return forms.file(wanted, name, _lines(head, pages))


async def _lines(head: Sequence[str], pages: Pages) -> AsyncIterator[bytes]:
    yield (sheets.BOM + sheets.csv_text([head])).encode()
    async for rows in pages():
        yield sheets.csv_text(rows).encode()


async def _book(name: str, head: Sequence[str], pages: Pages) -> AsyncIterator[bytes]:
    with sheets.Book(name, head) as book:
        async for rows in pages():
            await BOOKS.run(book.append, rows)
        made = await BOOKS.run(book.file)
    return _pieces(made)


async def _pieces(made: IO[bytes]) -> AsyncIterator[bytes]:
    for piece in sheets.pieces(made):
        yield piece
