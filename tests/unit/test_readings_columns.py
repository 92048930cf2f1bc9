"""Columns of large answers are read from the server's binary arrays."""

import struct

import pytest

from hub.readings.columns import column


def array(values: list[float], *, missing: int = 0) -> bytes:
    return struct.pack(">5i", 1, missing, 701, len(values), 1) + b"".join(struct.pack(">id", 8, v) for v in values)


def test_values_keep_their_order_and_no_rows_give_no_values() -> None:
    assert column(array([1.5, -2.0]), "f8").tolist() == [1.5, -2.0]
    assert column(struct.pack(">5i", 1, 0, 20, 1, 1) + struct.pack(">iq", 8, 2**40), "i8").tolist() == [2**40]
    assert column(None, "i8").tolist() == []


def test_a_missing_value_is_no_zero() -> None:
    with pytest.raises(ValueError, match="lacks a value"):
        column(array([1.0], missing=1), "f8")
