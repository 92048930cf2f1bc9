"""How long readings are kept, as this program ships it."""

from datetime import date
from functools import cache
from importlib.resources import files

import yaml

from rules.model.retention import Retention, in_force, parse

SHIPPED = "definitions/retention.yaml"


@cache
def load() -> tuple[Retention, ...]:
    """Read what is kept how long, in all its versions; raises InvalidDefinitionError."""
    return parse(yaml.safe_load(files("rules").joinpath(SHIPPED).read_text("utf-8")))


def retention(day: date) -> Retention:
    """Give what holds on a day."""
    return in_force(load(), day)
