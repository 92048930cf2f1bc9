"""Device profiles: which measures a model has and where they stand (``profiles/*.toml``).

Here is what profiles of all protocols share; ``<protocol>/profile.py`` says where the protocol keeps a measure.
"""

import tomllib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from rules.model.point import Kind
from rules.model.watch import Watch

ProfileCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Positive = Annotated[Decimal, Field(gt=0)]
P = TypeVar("P", bound="Profile")


class InvalidProfileError(ValueError):
    """A profile cannot be used, or there is none of that name; one sentence."""


class Part(BaseModel):
    """A table of a profile: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Measure(Part):
    """One measure of a model and the point that it becomes; ``scale`` turns the device's number into ``unit``."""

    name: Name
    kind: Kind
    unit: str
    scale: Positive = Decimal(1)
    resolution: Positive | None = None
    modulus: Positive | None = None
    deadband: Annotated[float, Field(ge=0)] = 0.0

    @property
    def step(self) -> Decimal:
        """Smallest step of the value, in ``unit``."""
        return self.resolution if self.resolution is not None else self.scale

    @model_validator(mode="after")
    def _counts_or_not(self) -> Self:
        if self.kind is Kind.COUNTER and self.modulus is None:
            raise ValueError(f"measure '{self.name}' is a counter and needs a modulus")
        if self.kind is not Kind.COUNTER and self.modulus is not None:
            raise ValueError(f"measure '{self.name}' is no counter and has no modulus")
        return self


@runtime_checkable
class Settable(Protocol):
    """A measure of a protocol that can write: from and to in its ``unit``, None where it is only read."""

    @property
    def writable(self) -> tuple[Decimal, Decimal] | None:
        """What it may be set to."""


class Profile(Part):
    """One model of device.

    ``source`` names the public document that it was written from, ``tried`` on what it has been tried so far.
    """

    code: ProfileCode
    title: str
    protocol: str
    source: str = ""
    tried: Literal["simulator", "device"] = "simulator"

    @property
    def measures(self) -> Sequence[Measure]:
        """All measures in the order of the file."""
        raise NotImplementedError

    def wanted(self, _watch: Watch | None) -> Sequence[Measure]:
        """Give the measures that become points of a device that is watched so; all, but for cameras."""
        return self.measures


def twice(measures: Iterable[Measure]) -> Iterable[str]:
    """Give a sentence for every name that stands more than once."""
    names = [measure.name for measure in measures]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"measure '{name}' stands more than once"


def toml(text: str, name: str) -> dict[str, Any]:
    """Read a profile's text; raises InvalidProfileError with one sentence that names the place."""
    try:
        return tomllib.loads(text, parse_float=Decimal)  # a scale of 0.01 is exactly that
    except tomllib.TOMLDecodeError as error:
        raise InvalidProfileError(f"profile '{name}' is not valid TOML: {error}") from None


def check(shape: type[P], data: dict[str, Any], name: str) -> P:
    """Check a decoded profile; raises InvalidProfileError with one sentence that names the place."""
    try:
        profile = shape.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        said = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidProfileError(f"profile '{name}': {f'{where}: ' if where else ''}{said}") from None
    if profile.code != name:
        raise InvalidProfileError(f"profile '{name}' calls itself '{profile.code}'; make both the same")
    return profile
