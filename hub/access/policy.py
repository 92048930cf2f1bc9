"""The shipped policy of signing in, ``rules/definitions/sign_in.yaml``."""

from functools import cache
from importlib.resources import files

import yaml

from rules.model.sign_in import SecondFactor, parse


@cache
def shipped() -> SecondFactor:
    """Give who needs a second factor."""
    return parse(yaml.safe_load(files("rules").joinpath("definitions", "sign_in.yaml").read_text("utf-8")))
