"""Which acts are recorded only with a reason: dated policy as data, in ``rules/definitions/reasons.yaml``."""

from functools import cache
from importlib.resources import files

import yaml

from hub.errors import InvalidError

REASON_CHARACTERS_MAX = 500
WHY = "Say in a few words why you do this; it is kept in the record."
TOO_LONG = f"A reason has at most {REASON_CHARACTERS_MAX} characters; shorten it."


@cache
def asked() -> frozenset[tuple[str, str]]:
    """Give the acts that need a reason, as (entity, action)."""
    text = files("rules").joinpath("definitions", "reasons.yaml").read_text("utf-8")
    return frozenset((act["entity"], act["action"]) for act in yaml.safe_load(text))


def checked(entity: str, action: str, reason: str) -> str:
    """Give the reason as it is kept; raises InvalidError where one is missing or too long."""
    said = reason.strip()
    if not said and (entity, action) in asked():
        raise InvalidError(WHY)
    if len(said) > REASON_CHARACTERS_MAX:
        raise InvalidError(TOO_LONG)
    return said
