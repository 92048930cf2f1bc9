"""Every named query prepares against the migrated schema, and gives just the columns of the row class that takes it."""

import ast
import dataclasses
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hub.store.sql import queries
from tests.builders import Dsns

HUB = Path(__file__).parents[2] / "hub"
SLICES = sorted(f"hub.{path.parent.name}" for path in HUB.glob("*/queries.sql"))
_TAKING_ROWS = {"all", "maybe", "one"}


@pytest.mark.parametrize("package", SLICES)
def test_every_query_prepares(package: str, schema: Dsns) -> None:
    with psycopg.connect(schema.owner, autocommit=True) as connection:
        for query in queries(package).values():
            if query.startswith(b"CREATE TEMP"):  # others of the slice speak of it
                connection.execute(query)
        for name, query in queries(package).items():
            result = connection.pgconn.prepare(b"", _dollars(query))
            said = result.error_message.decode()
            # The server cannot guess the type of a parameter that is only compared with NULL; psycopg tells it.
            if said and "could not determine data type" not in said:
                pytest.fail(f"{package}: {name}: {said}")


def _dollars(query: bytes) -> bytes:
    names: dict[str, str] = {}
    text = re.sub(r"%\((\w+)\)[sbt]", lambda found: names.setdefault(found[1], f"${len(names) + 1}"), query.decode())
    return text.replace("%%", "%").encode()


def _uses() -> Iterator[tuple[str, str, str]]:
    """Every ``tx.all(Row, SQL["name"], ...)`` as (module, row class, query)."""
    for path in sorted(HUB.rglob("*.py")):
        module = ".".join(path.relative_to(HUB.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=verb),
                    args=[
                        ast.Name(id=row),
                        ast.Subscript(value=ast.Name(id="SQL"), slice=ast.Constant(value=str(name))),
                        *_,
                    ],
                ) if verb in _TAKING_ROWS:
                    yield module, row, name


USES = sorted(set(_uses()))


@pytest.mark.parametrize(("module", "row", "name"), USES, ids=lambda text: text)
def test_a_query_gives_the_columns_of_its_row_class(module: str, row: str, name: str, schema: Dsns) -> None:
    held = importlib.import_module(module)
    fields = [field.name for field in dataclasses.fields(getattr(held, row))]
    with psycopg.connect(schema.owner, autocommit=True) as connection:
        assert connection.pgconn.prepare(b"", _dollars(held.SQL[name])).error_message == b""
        described = connection.pgconn.describe_prepared(b"")
        columns = [(described.fname(i) or b"").decode() for i in range(described.nfields)]
    assert sorted(columns) == sorted(fields)


SIGN_OF_LIFE = "hub.alarms.silent"  # what a person read is no sign of life of a device


@pytest.mark.parametrize("package", SLICES)
def test_what_a_person_read_counts_wherever_a_good_reading_does(package: str) -> None:
    """``quality = ANY(%(good)s)`` with ``rules.model.quality.USABLE``, never one quality alone."""
    alone = [name for name, query in queries(package).items() if re.search(rb"quality = (%\(good\)s|192)", query)]
    assert [name for name in alone if f"{package}.{name}" != SIGN_OF_LIFE] == []
