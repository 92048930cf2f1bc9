"""Text for the cell of a spreadsheet, which takes what begins like a formula for one and carries it out."""

import re
import unicodedata

FORMULA_STARTS = "=+-@"
NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
# Where a cell may begin: at the start and, where another sign than the comma parts cells, after that.  Spaces, quotes
# and signs without width before a formula do not keep it from being one.
_BEGINNING = re.compile(r"(?:\A|(?<=[;\t\r\n]))(?=(?:[^\S\t\r\n]|[\"'\ufeff\u200b-\u200f\u2060])*+(\S))")


def cell_text(said: str) -> str:
    """Give ``said`` with an apostrophe wherever a formula would begin; what is a number stays one.

    Full-width and small signs count like their plain twins: spreadsheets read them so.
    """
    if NUMBER.fullmatch(said):
        return said
    marked = _BEGINNING.sub(lambda found: "'" if _starts_formula(found[1]) else "", said)
    return f"'{marked}" if marked[:1] in ("\t", "\r", "\n") else marked


def _starts_formula(sign: str) -> bool:
    return unicodedata.normalize("NFKC", sign)[:1] in FORMULA_STARTS
