"""No text becomes a formula in a spreadsheet, however it is opened; numbers stay numbers."""

import csv
import io
import re
import unicodedata
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.model.sheet import NUMBER, cell_text
from web.export import cell, table

SIGNS = st.sampled_from(
    list("=+-@;,\t\r\n\"' \uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u207a\ufeff\u200b\u3000\xa0")
)
WORDS = st.text(st.one_of(SIGNS, st.characters(codec="utf-8")), max_size=30)
COVER = ' "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u3000\xa0'


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would carry a cell out."""
    bare = text.strip().lstrip(COVER).strip()
    return unicodedata.normalize("NFKC", bare)[:1] in ("=", "+", "-", "@") and not NUMBER.fullmatch(text)


@pytest.mark.parametrize(("said", "written"), [
    ("=cmd()", "'=cmd()"), ("+86 21", "'+86 21"), ("@SUM(1)", "'@SUM(1)"), ("-2+3", "'-2+3"), ("--1", "'--1"),
    (" =1", "' =1"), ('"=1', "'\"=1"), ("'=1", "''=1"), ("\ufeff=1", "'\ufeff=1"), ("\uff1d1", "'\uff1d1"),
    ("\ufe661", "'\ufe661"), ("\u3000\uff0d1", "'\u3000\uff0d1"), ("\t=1", "'\t'=1"), ("\r=1", "'\r'=1"),
    ("a;=1", "a;'=1"), ("a;-1 m", "a;'-1 m"), ("a\n=1", "a\n'=1"), ("a =1", "a =1"), ("a, -1", "a, -1"),
    ("-3.5", "-3.5"), ("-0", "-0"), ("12", "12"), ("-\u0663", "'-\u0663"), ("-1e5", "'-1e5"), ("", ""),
    ("水表", "水表"), ("=" + " " * 9 + "\n" * 9, "'=" + " " * 9 + "\n" * 9),
])  # fmt: skip
def test_an_apostrophe_stands_where_a_formula_would_begin(said: str, written: str) -> None:
    assert cell_text(said) == written


@given(WORDS)
@example("\u207a1")
def test_no_cell_of_any_reading_of_the_file_is_a_formula(said: str) -> None:
    written = cell_text(said)
    for part in re.split(r"[;\t\r\n]", written):
        assert not is_formula(part) or NUMBER.fullmatch(written)


@given(WORDS)
def test_nothing_is_lost_but_apostrophes_come_in(said: str) -> None:
    assert cell_text(said).replace("'", "") == said.replace("'", "")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_stay_numbers(exact: Decimal, near: float) -> None:
    assert Decimal(cell(exact)) == exact
    assert float(cell(near)) == near


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_a_file_of_cells_reads_back_as_the_same_cells(said: list[str]) -> None:
    text = bytes(table("x", [dict(zip("abcd", said, strict=False))]).body).decode().removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[1] == [cell(one) for one in said]


def test_a_long_text_of_separators_takes_no_time() -> None:
    assert cell_text("\n" * 200_000 + " " * 200_000 + "=").endswith("=")
