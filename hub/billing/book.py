"""The definitions that bills are made from: tariffs and taxes, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from rules.meter.tariff import Tariff, parse_tariffs
from rules.model.doubt import DoubtError
from rules.money.tax import Tax, parse_taxes


@dataclass(frozen=True, slots=True)
class Book:
    """Tariffs and taxes by code."""

    tariffs: Mapping[str, Tariff]
    taxes: Mapping[str, Tax]

    def tariff(self, code: str) -> Tariff:
        """Give a tariff; raises DoubtError when the book has none of that code."""
        found = self.tariffs.get(code)
        if found is None:
            raise DoubtError(
                f"there is no tariff '{code}'; define it or correct the lease.",
                f"没有价目“{code}”；请定义，或更正租约。",
            )
        return found

    def tax(self, code: str) -> Tax:
        """Give a tax; raises DoubtError when the book has none of that code."""
        found = self.taxes.get(code)
        if found is None:
            raise DoubtError(
                f"there is no tax '{code}'; define it or correct the lease.", f"没有税种“{code}”；请定义。"
            )
        return found


@cache
def book() -> Book:
    """Load the definitions that come with the program; raises InvalidDefinitionError."""
    return Book(parse_tariffs(_read("tariffs.yaml")), parse_taxes(_read("taxes.yaml")))


def _read(name: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = yaml.safe_load(files("rules").joinpath("definitions", name).read_text("utf-8"))
    return data
