"""The register of personal data: what is kept about whom, why, for how long, and what happens then.

It is dated data (``rules/definitions/privacy.yaml``).  An entry is in force from ``valid_from`` until a later one of
the same code begins.  Every column that holds text, bytes or the like is either named by an entry or listed as not
personal.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from rules.model.definition import Definition, InvalidDefinitionError, check

DAYS_MAX = 36_525  # a hundred years

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Columns = Annotated[tuple[Word, ...], Field(min_length=1)]


class Then(StrEnum):
    """What happens to personal data."""

    DELETE = "delete"
    PSEUDONYMISE = "pseudonymise"  # the record stays, whose it was is gone
    KEEP = "keep"


class Period(Definition):
    """How long something is kept: ``days`` after what ``since`` says."""

    days: Annotated[int, Field(ge=0, le=DAYS_MAX)]
    since_zh: Text
    since_en: Text


class Entry(Definition):
    """One kind of personal data.

    ``holds`` names its columns by table, ``seen_by`` the rights that open it ('himself': the person).  ``afterwards``
    says what happens when the period ``kept`` is over, ``erasure`` when the person asks for erasure; what is kept has a
    reason.  ``confirmed`` says that somebody who knows the law has checked basis and period; ``sensitive`` is that of
    the law.
    """

    code: Word
    valid_from: date
    name_zh: Text
    name_en: Text
    whose_zh: Text
    whose_en: Text
    purpose_zh: Text
    purpose_en: Text
    basis_zh: Text
    basis_en: Text
    confirmed: bool = False
    sensitive: bool = False
    seen_by: Annotated[tuple[Word, ...], Field(min_length=1)]
    holds: Annotated[Mapping[Word, Columns], Field(min_length=1)]
    kept: Period | None = None
    afterwards: Then
    erasure: Then
    reason_zh: str = ""
    reason_en: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kept is None) != (self.afterwards is Then.KEEP):
            raise ValueError("'kept' and 'afterwards' do not fit: what has a period ends, what is kept has none")
        reasoned = bool(self.reason_zh and self.reason_en)
        if (Then.KEEP in (self.afterwards, self.erasure)) != reasoned:
            raise ValueError("'reason_zh' and 'reason_en' say why something is kept; give both, or neither")
        return self

    def before(self, now: datetime) -> datetime:
        """Give the moment up to which data has outlived its period; raises ValueError where there is none."""
        if self.kept is None:
            raise ValueError(f"'{self.code}' is kept without an end")
        return now - timedelta(days=self.kept.days)

    def due(self, since: datetime, now: datetime) -> bool:
        """Whether data that is kept since then has outlived its period at ``now``."""
        return self.kept is not None and since <= self.before(now)


class Definitions(Definition):
    """A whole file."""

    personal: Annotated[tuple[Entry, ...], Field(min_length=1)]
    not_personal: Mapping[Word, Columns]


@dataclass(frozen=True, slots=True)
class Register:
    """The entries in force on a day, and the columns that say nothing about a person."""

    entries: tuple[Entry, ...]
    not_personal: Mapping[str, tuple[str, ...]]

    @property
    def ending(self) -> tuple[Entry, ...]:
        """What has a period after which it goes."""
        return tuple(entry for entry in self.entries if entry.kept is not None)

    @property
    def by_table(self) -> Mapping[str, Entry]:
        """Whose columns a table's are, in the order of the file."""
        return {table: entry for entry in self.entries for table in entry.holds}

    @property
    def columns(self) -> frozenset[tuple[str, str]]:
        """Every (table, column) that is declared."""
        return frozenset((*_columns(self.not_personal.items()), *_held(self.entries)))


def _held(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    return (pair for entry in entries for pair in _columns(entry.holds.items()))


def _columns(tables: Iterable[tuple[str, Sequence[str]]]) -> Iterator[tuple[str, str]]:
    return ((table, column) for table, columns in tables for column in columns)


def parse(data: Mapping[str, Any]) -> Definitions:
    """Check decoded YAML; raises InvalidDefinitionError with a sentence for every problem."""
    found = check(TypeAdapter(Definitions), data, "privacy")
    starts = [(entry.code, entry.valid_from) for entry in found.personal]
    twice = sorted({code for code, day in starts if starts.count((code, day)) > 1})
    if twice:
        raise InvalidDefinitionError(
            [f"privacy: '{code}' begins twice on one day; keep one of the two." for code in twice]
        )
    problems = [problem for day in sorted({day for _, day in starts}) for problem in _overlaps(in_force(found, day))]
    if problems:
        raise InvalidDefinitionError(list(dict.fromkeys(problems)))
    return found


def _overlaps(register: Register) -> Iterator[str]:
    named = [*_columns(register.not_personal.items()), *_held(register.entries)]
    for table, column in sorted({pair for pair in named if named.count(pair) > 1}):
        yield f"privacy: the column {table}.{column} is declared twice; keep one of the two."
    tables = [table for entry in register.entries for table in entry.holds]
    for table in sorted({table for table in tables if tables.count(table) > 1}):
        yield f"privacy: two entries hold columns of '{table}'; a table belongs to one of them."


def in_force(definitions: Definitions, day: date) -> Register:
    """Give the register of a day: of each code the entry that began last."""
    chosen: dict[str, Entry] = {}
    for entry in sorted(definitions.personal, key=lambda entry: entry.valid_from):
        if entry.valid_from <= day:
            chosen[entry.code] = entry
    order = list(dict.fromkeys(entry.code for entry in definitions.personal if entry.code in chosen))
    return Register(tuple(chosen[code] for code in order), definitions.not_personal)
