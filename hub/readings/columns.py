"""Large answers as arrays: a query's columns as binary arrays of the server, without an object for each value.

Format of an array (PostgreSQL, array_send): five 4-byte numbers, of which the second says whether a value is missing
and the fourth how many there are; then each value behind its length.  All numbers are big-endian.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.store.database import Transaction

_HEADER = np.dtype([("dimensions", ">i4"), ("missing", ">i4"), ("type", ">i4"), ("length", ">i4"), ("lowest", ">i4")])


async def read(
    tx: Transaction, query: bytes, parameters: Mapping[str, Any], layout: Mapping[str, str]
) -> dict[str, NDArray[Any]]:
    """Give the columns of a query, all in the same order of rows.

    ``layout`` names them, "i8" for bigint and "f8" for double precision; none of their values may be NULL.
    """
    wanted = b", ".join(b"array_agg(" + name.encode() + b")" for name in layout)
    async with tx.connection.cursor(binary=True) as cursor:
        await cursor.execute(b"SELECT " + wanted + b" FROM (" + query + b") AS found", parameters, prepare=False)
        result = cursor.pgresult
        assert result is not None
        return {name: column(result.get_value(0, n), kind) for n, (name, kind) in enumerate(layout.items())}


def column(data: bytes | None, kind: str) -> NDArray[Any]:
    """Give the values of an array in its binary form, none for no array; raises ValueError where one is missing."""
    if data is None:
        return np.zeros(0, kind)
    head = np.frombuffer(data, _HEADER, 1)[0]
    if head["missing"]:
        raise ValueError("a column of this answer lacks a value")
    item = np.dtype([("bytes", ">i4"), ("value", f">{kind}")])
    return np.frombuffer(data, item, int(head["length"]), _HEADER.itemsize)["value"].astype(kind)
