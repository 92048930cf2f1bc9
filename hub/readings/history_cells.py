"""Files of history, cell by cell: CSV as it comes from anywhere, XLSX row by row.  Pure but for the bytes it is given.

Nothing in a file is believed: its size, how many rows and columns it has and what it unpacks to are bounded.
"""

import codecs
import csv
import io
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from hub.errors import InvalidError

FILE_BYTES_MAX = 64_000_000  # a million rows of a long file are some 45 MB
ROWS_MAX = 1_000_000
COLUMNS_MAX = 250
UNPACKED_BYTES_MAX = 400_000_000  # a million rows of three cells are some 150 MB of XML
STRINGS_BYTES_MAX = 60_000_000  # of the table of texts, which is held in memory
PARTS_MAX = 1_000
FIELD_CHARACTERS_MAX = 1_000
SAMPLE_BYTES = 4_096
PIECE_BYTES = 1_000_000

Cell = str | float | datetime | None
Rows = Iterator[tuple[int, list[Cell]]]

TOO_BIG = f"A file of history has at most {FILE_BYTES_MAX // 1_000_000} MB; cut it into several."
TOO_LONG = f"A file of history has at most {ROWS_MAX} rows; cut it into several."
TOO_WIDE = f"A file of history has at most {COLUMNS_MAX} columns; cut it into several."
BOMB = "This spreadsheet unpacks to more than Plantroom takes; save the readings alone, or as CSV."
BROKEN = "This spreadsheet cannot be read; open it and save it anew as .xlsx or as CSV."
OLD = "Plantroom reads .xlsx and .csv; save this older spreadsheet (.xls) as one of them."
NO_TEXT = "This is neither a spreadsheet (.xlsx) nor a text in UTF-8, UTF-16 or GBK; save it as one of them."
NO_CSV = "This CSV cannot be read from row {} on: {}."
OLE = b"\xd0\xcf\x11\xe0"
ZIP = b"PK\x03\x04"
# What reading a hostile spreadsheet may raise, whatever layer meets it first.
FAILURES = (
    zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError, LookupError, ValueError, TypeError,
    AttributeError, EOFError, OSError, NotImplementedError, RuntimeError, OverflowError, struct.error,
)  # fmt: skip
# A decimal comma between two separators that are none.
_DECIMAL_COMMA = re.compile(rb"(?:^|[;\t])\"?-?\d+(?:\.\d{3})*,\d+\"?(?=[;\t\r\n]|\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The cells of a file by row (numbered from 1); ``decimal_comma``: numbers are written with one.

    ``epoch`` is the day from which a spreadsheet counts its days, None for a text.
    """

    rows: Rows
    decimal_comma: bool = False
    epoch: datetime | None = None


def opened(body: bytes) -> Sheet:
    """Open a file; raises InvalidError with what is wrong with it, also while its rows are walked."""
    if len(body) > FILE_BYTES_MAX:
        raise InvalidError(TOO_BIG)
    if body.startswith(OLE):
        raise InvalidError(OLD)
    return _book(body) if body.startswith(ZIP) else _text(body)


def _text(body: bytes) -> Sheet:
    body, encoding = _encoded(body)
    separator = _separator(body[:SAMPLE_BYTES].decode(encoding, "ignore"))
    comma = separator != "," and _DECIMAL_COMMA.search(body) is not None
    return Sheet(_lines(io.TextIOWrapper(io.BytesIO(body), encoding, newline=""), separator), comma)


def _encoded(body: bytes) -> tuple[bytes, str]:
    """Give a text and what it is written in, one of those that write ASCII as it is; it is never decoded whole."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            body = body.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise InvalidError(NO_TEXT) from None
    for encoding in ("utf-8-sig", "gb18030"):  # the latter is what GBK has grown into
        if b"\x00" not in body and _decodes(body, encoding):
            return body, encoding
    raise InvalidError(NO_TEXT)


def _decodes(body: bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(body), PIECE_BYTES):
            decoder.decode(body[start : start + PIECE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _separator(sample: str) -> str:
    line = next((line for line in sample.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", line)
    return max(";\t,", key=lambda sign: (bare.count(sign), sign == ","))


def _lines(text: io.TextIOWrapper, separator: str) -> Rows:
    reader = csv.reader(text, delimiter=separator)
    rows = 0
    try:
        for fields in reader:
            rows += 1
            if rows > ROWS_MAX + 1:
                raise InvalidError(TOO_LONG)
            if len(fields) > COLUMNS_MAX:
                raise InvalidError(TOO_WIDE)
            yield reader.line_num, [field.strip()[:FIELD_CHARACTERS_MAX] or None for field in fields]
    except csv.Error as error:
        raise InvalidError(NO_CSV.format(reader.line_num, error)) from None


def _book(body: bytes) -> Sheet:
    _unpacks_small(body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and validations, which nobody asks for
            book = load_workbook(io.BytesIO(body), read_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of itself may be anything
        rows = sheet.iter_rows(values_only=True)  # as wide as each row is: a file may skip a million rows
    except FAILURES:
        raise InvalidError(BROKEN) from None
    return Sheet(_cells(rows), epoch=book.epoch)


def _unpacks_small(body: bytes) -> None:
    try:
        parts = zipfile.ZipFile(io.BytesIO(body)).infolist()
    except FAILURES:
        raise InvalidError(BROKEN) from None
    strings = sum(part.file_size for part in parts if part.filename.lower().endswith("sharedstrings.xml"))
    # More than a part says of itself is never unpacked: zipfile stops there.
    if len(parts) > PARTS_MAX or sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
        raise InvalidError(BOMB)
    if strings > STRINGS_BYTES_MAX:
        raise InvalidError(BOMB)


def _cells(rows: Iterator[tuple[object, ...]]) -> Rows:
    try:
        for number, values in enumerate(rows, 1):
            if number > ROWS_MAX + 1:
                raise InvalidError(TOO_LONG)
            if len(values) > COLUMNS_MAX:
                raise InvalidError(TOO_WIDE)
            yield number, [_cell(value) for value in values]
    except FAILURES:
        raise InvalidError(BROKEN) from None


def _cell(value: object) -> Cell:
    match value:
        case None | datetime():
            return value
        case bool():
            return str(value)
        case int() | float():
            return float(value)
        case date():
            return datetime.combine(value, time.min)
        case _:
            return str(value).strip()[:FIELD_CHARACTERS_MAX] or None
