"""The register of personal data as this program ships it."""

from datetime import date
from functools import cache
from importlib.resources import files

import yaml

from rules.privacy.register import Definitions, Register, in_force, parse

SHIPPED = "definitions/privacy.yaml"


@cache
def load() -> Definitions:
    """Read the register, in all its versions; raises InvalidDefinitionError with a sentence for every problem."""
    return parse(yaml.safe_load(files("rules").joinpath(SHIPPED).read_text("utf-8")))


def register(day: date) -> Register:
    """Give the register in force on a day."""
    return in_force(load(), day)
