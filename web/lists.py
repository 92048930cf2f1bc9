"""Live lists: what a page shows and a socket keeps up to date, from one query and one template."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from hub.access.rights import Right
from hub.store.database import Transaction
from web.render import render

Filters = Mapping[str, str]
Query = Callable[[Transaction, Filters], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class LiveList:
    """One kind of list.

    ``kinds`` are the notices after which it is asked for anew; ``template`` renders one row, whose element has
    the id ``<name>-<key>`` and the attribute ``data-sort``; ``personal`` lists differ from user to user.
    """

    name: str
    kinds: frozenset[str]
    right: Right
    template: str
    query: Query
    key: Callable[[Any], str]
    sort: Callable[[Any], str]
    personal: bool = False

    def row(self, row: Any, language: str, rights: frozenset[str], zone: ZoneInfo) -> str:
        """Render one row for a language and the rights of who looks."""
        element = f"{self.name}-{self.key(row)}"
        return render(
            language, self.template, row=row, element=element, sort=self.sort(row), zone=zone, may=rights.__contains__
        )

    def rows(self, rows: list[Any], language: str, rights: frozenset[str], zone: ZoneInfo) -> str:
        """Render all rows."""
        return "".join(self.row(row, language, rights, zone) for row in rows)
