"""Named SQL: each slice keeps its statements in ``queries.sql``, each under ``-- name: what_it_does``."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_HEAD = "-- name:"


class QueryFileError(ValueError):
    """A queries.sql file is not of the agreed form."""


@cache
def queries(package: str) -> Mapping[str, bytes]:
    """Load the statements of ``package``'s queries.sql by name.

    Statements are bytes, which is what psycopg takes for trusted text; a name that does not exist is a KeyError.
    """
    return MappingProxyType(parse(files(package).joinpath("queries.sql").read_text("utf-8"), package))


def parse(text: str, source: str) -> dict[str, bytes]:
    """Cut a queries.sql text into its named statements; raises QueryFileError."""
    head, *sections = text.split(_HEAD)
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise QueryFileError(f"{source}: SQL stands before the first '{_HEAD}' line")
    found: dict[str, bytes] = {}
    for section in sections:
        name, _, body = section.partition("\n")
        name = name.strip()
        if name in found:
            raise QueryFileError(f"{source}: '{name}' is named twice")
        found[name] = body.strip().removesuffix(";").encode()
    return found
