"""Columns of numbers as parameters of a statement: numpy's bytes as PostgreSQL's binary arrays.

Format: PostgreSQL source, ``array_recv``: dimensions, NULLs or not, type, then length and bytes of each.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEAD = np.dtype([("dimensions", ">i4"), ("nulls", ">i4"), ("type", ">i4"), ("count", ">i4"), ("first", ">i4")])


class Column:
    """A column without NULLs; one class for each type of its elements."""

    oid: ClassVar[int]
    element: ClassVar[int]
    layout: ClassVar[np.dtype[Any]]

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def binary(self) -> bytes:
        """Give it as PostgreSQL receives an array."""
        count = len(self._values)
        head = np.array([(1 if count else 0, 0, self.element, count, 1)], _HEAD).tobytes()
        if not count:
            return head[:12]
        items = np.empty(count, self.layout)
        items["length"], items["value"] = self.layout["value"].itemsize, self._values
        return head + items.tobytes()


def _layout(kind: str) -> np.dtype[Any]:
    return np.dtype([("length", ">i4"), ("value", kind)])


class Bigints(Column):
    """bigint[]."""

    oid, element, layout = 1016, 20, _layout(">i8")


class Doubles(Column):
    """double precision[]; nan stays nan."""

    oid, element, layout = 1022, 701, _layout(">f8")


class Smallints(Column):
    """smallint[]."""

    oid, element, layout = 1005, 21, _layout(">i2")


class Times(Column):
    """timestamptz[], from µs since 2000-01-01 UTC."""

    oid, element, layout = 1185, 1184, _layout(">i8")


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> Buffer:
        return obj.binary()


def dumpers() -> dict[type[Column], type[Dumper]]:
    """Give who writes each kind of column."""
    return {kind: type(f"{kind.__name__}Dumper", (_Dumper,), {"oid": kind.oid}) for kind in KINDS}


KINDS: tuple[type[Column], ...] = (Bigints, Doubles, Smallints, Times)
