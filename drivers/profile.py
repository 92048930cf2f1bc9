"""Device profiles: which measures a model has and where its registers stand (``profiles/*.toml``)."""

import tomllib
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from drivers.kinds import ADDRESS_MAX, BLOCK_REGISTERS_MAX, Encoding, Order, Register, Table
from rules.model.point import Kind

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Address = Annotated[int, Field(ge=0, le=ADDRESS_MAX)]
Positive = Annotated[Decimal, Field(gt=0)]


class InvalidProfileError(ValueError):
    """A profile cannot be used, or there is none of that name; one sentence."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measure(_Part):
    """One measure of a model: the point it becomes and the register it comes from."""

    name: Name
    kind: Kind
    unit: str
    address: Address
    encoding: Encoding
    scale: Positive = Decimal(1)
    resolution: Positive | None = None
    modulus: Positive | None = None
    deadband: Annotated[float, Field(ge=0)] = 0.0
    missing: tuple[Annotated[int, Field(ge=0)], ...] = ()
    bit: Annotated[int, Field(ge=0, le=15)] | None = None

    @property
    def end(self) -> int:
        """First address after the value."""
        return self.address + self.encoding.words

    @property
    def step(self) -> Decimal:
        """Smallest step of the value, in ``unit``."""
        return self.resolution if self.resolution is not None else self.scale

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems = {
            f"ends beyond register {ADDRESS_MAX}": self.end > ADDRESS_MAX + 1,
            "is a counter and needs a modulus": self.kind is Kind.COUNTER and self.modulus is None,
            "is no counter and has no modulus": self.kind is not Kind.COUNTER and self.modulus is not None,
            "is a float and needs a resolution": self.encoding.floating and self.resolution is None,
            "has a bit, which only 'bits' have": self.bit is not None and self.encoding is not Encoding.BITS,
            "has a 'missing' pattern wider than its registers": any(
                pattern >= 1 << 16 * self.encoding.words for pattern in self.missing
            ),
        }
        for problem, found in problems.items():
            if found:
                raise ValueError(f"measure '{self.name}' {problem}")
        return self


class Profile(_Part):
    """One model of device.  ``holes`` are [first, last] addresses that do not exist."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    table: Table
    order: Order = Order.ABCD
    max_gap: Annotated[int, Field(ge=0, le=BLOCK_REGISTERS_MAX)] = 8
    max_block: Annotated[int, Field(ge=4, le=BLOCK_REGISTERS_MAX)] = BLOCK_REGISTERS_MAX
    holes: tuple[tuple[Address, Address], ...] = ()
    measure: Annotated[tuple[Measure, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in _clashes(self.measure, self.holes):
            raise ValueError(problem)
        return self

    def register(self, measure: Measure) -> Register:
        """Where and how ``measure`` is read."""
        return Register(
            table=self.table,
            address=measure.address,
            encoding=measure.encoding,
            order=self.order,
            scale=measure.scale,
            missing=measure.missing,
            bit=measure.bit,
        )


def _clashes(measures: tuple[Measure, ...], holes: tuple[tuple[int, int], ...]) -> Iterable[str]:
    names = [measure.name for measure in measures]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"measure '{name}' stands more than once"
    for first, last in holes:
        for measure in measures:
            if measure.address <= last and measure.end > first:
                yield f"measure '{measure.name}' stands in the hole {first}..{last}"
    ordered = sorted(measures, key=lambda m: m.address)
    for i, one in enumerate(ordered):
        for other in ordered[i + 1 :]:
            if other.address < one.end and not _flags_of_one_word(one, other):
                yield f"measures '{one.name}' and '{other.name}' overlap at register {other.address}"


def _flags_of_one_word(one: Measure, other: Measure) -> bool:
    return one.encoding is other.encoding is Encoding.BITS and one.address == other.address


def parse(text: str, name: str) -> Profile:
    """Read a profile; raises InvalidProfileError with one sentence that names the place."""
    try:
        data: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)  # a scale of 0.01 is exactly that
        profile = Profile.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        raise InvalidProfileError(f"profile '{name}' is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        said = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidProfileError(f"profile '{name}': {f'{where}: ' if where else ''}{said}") from None
    if profile.code != name:
        raise InvalidProfileError(f"profile '{name}' calls itself '{profile.code}'; make both the same")
    return profile


def names() -> list[str]:
    """All shipped profiles."""
    folder = resources.files("drivers") / "profiles"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


@cache
def load(name: str) -> Profile:
    """Give a shipped profile by its code; raises InvalidProfileError."""
    known = names()
    if name not in known:
        raise InvalidProfileError(f"there is no profile '{name}'; there are {', '.join(known)}")
    file = resources.files("drivers") / "profiles" / f"{name}.toml"
    return parse(file.read_text(encoding="utf-8"), name)
