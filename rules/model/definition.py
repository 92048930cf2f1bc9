"""Definitions: dated data in YAML that a facility manager can read, checked once at the door."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")


class Definition(BaseModel):
    """One entry of a definitions file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InvalidDefinitionError(ValueError):
    """The definitions cannot be used; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def check(shape: TypeAdapter[T], data: Mapping[str, Any], what: str) -> T:
    """Check decoded YAML against ``shape``; raises InvalidDefinitionError with a sentence for every problem."""
    try:
        return shape.validate_python(data)
    except ValidationError as error:
        raise InvalidDefinitionError([sentence(dict(e), what) for e in error.errors()]) from None


def sentence(error: Mapping[str, Any], what: str) -> str:
    """Say one of pydantic's errors about ``what`` as a person would."""
    where = " ".join(f"no. {step + 1}" if isinstance(step, int) else f"'{step}'" for step in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{what}: {where} is not a known key; remove it or correct its spelling."
    if error["type"] == "missing":
        return f"{what}: {where} is missing; add it."
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{what}: {where}: {message}."
