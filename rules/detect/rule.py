"""Alarm rules: what is wrong, for how long, how bad, and who has to come.

Rules are dated YAML data (``rules/definitions/alarms.yaml`` and one optional file per site) that a facility
manager can read.  ``parse`` turns one file's text into frozen rules.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from rules.model.part import Code, Name
from rules.model.site import Role

Seconds = Annotated[int, Field(ge=0, le=7 * 86400)]
Band = Annotated[float, Field(ge=0)]
Text = Annotated[str, StringConstraints(max_length=500)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Priority(StrEnum):
    """How soon somebody must act, most urgent first (ISA-18.2 wants critical to stay below 1 %)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Window(_Part):
    """Hours of the local day, half-open; one that ends before it starts runs across midnight."""

    start: time
    end: time

    def __contains__(self, moment: time) -> bool:
        if self.start <= self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end


class Mask(_Part):
    """The rule is judged only while ``measure`` equals ``equals`` (a stopped fan proves nothing)."""

    measure: Code
    equals: int


class Limit(_Part):
    """A measure above or below a limit, in the unit of the point; ``window`` in the time of the site."""

    kind: Literal["limit"]
    measure: Code
    above: float | None = None
    below: float | None = None
    deadband: Band = 0.0
    window: Window | None = None
    only_while: Mask | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("a limit needs 'above' or 'below'")
        return self


class Deviation(_Part):
    """A measure further than ``above`` from its set point, both of the same device and unit."""

    kind: Literal["deviation"]
    measure: Code
    setpoint: Code
    above: Annotated[float, Field(gt=0)]
    deadband: Band = 0.0
    only_while: Mask | None = None

    @model_validator(mode="after")
    def _clears(self) -> Self:
        if self.deadband >= self.above:
            raise ValueError("the deadband must be smaller than 'above', or the alarm could never clear")
        return self


class State(_Part):
    """A state point that has a certain value."""

    kind: Literal["state"]
    measure: Code
    equals: int


class Stale(_Part):
    """No good reading of the device for ``after_s`` seconds."""

    kind: Literal["stale"]
    after_s: Annotated[int, Field(ge=1, le=7 * 86400)]


Condition = Annotated[Limit | Deviation | State | Stale, Field(discriminator="kind")]


class AppliesTo(_Part):
    """Which devices a rule watches; an empty list means any.

    A device must also have every measure that the condition reads.
    """

    profiles: tuple[Code, ...] = ()
    roles: tuple[Role, ...] = ()


class Hands(_Part):
    """The work order that an alarm of the rule opens.

    ``settle_s`` is how long after "done" the plant may take until telemetry must show the fix.
    """

    skill: Code
    title_zh: Name
    title_en: Name
    settle_s: Seconds = 900


class Rule(_Part):
    """One alarm rule, in one version, in force from ``valid_from``."""

    code: Code
    version: Annotated[int, Field(ge=1)]
    valid_from: date
    name_zh: Name
    name_en: Name
    priority: Priority
    applies_to: AppliesTo = AppliesTo()
    condition: Condition
    on_delay_s: Seconds = 0
    off_delay_s: Seconds = 0
    cause_zh: Text
    cause_en: Text
    advice_zh: Text
    advice_en: Text
    work_order: Hands | None = None

    @property
    def measures(self) -> frozenset[str]:
        """The measures of a device that the condition reads (none for stale: it watches them all)."""
        condition = self.condition
        if isinstance(condition, Stale):
            return frozenset()
        names = {condition.measure}
        if isinstance(condition, Deviation):
            names.add(condition.setpoint)
        if isinstance(condition, Limit | Deviation) and condition.only_while is not None:
            names.add(condition.only_while.measure)
        return frozenset(names)

    def watches(self, profile: str, role: str, measures: Iterable[str]) -> bool:
        """Whether a device of this profile and role, with these measures, is judged by the rule."""
        wanted = self.applies_to
        return (
            (not wanted.profiles or profile in wanted.profiles)
            and (not wanted.roles or role in wanted.roles)
            and self.measures <= set(measures)
        )


class _File(_Part):
    rules: tuple[Rule, ...]


class InvalidRulesError(ValueError):
    """The rule file cannot be used; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def parse(text: str) -> tuple[Rule, ...]:
    """Read one rule file (YAML text); raises InvalidRulesError with a sentence for every problem."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise InvalidRulesError([f"The rule file is not YAML{line}; check its indentation."]) from None
    if not isinstance(data, Mapping) or not isinstance(data.get("rules"), list):
        raise InvalidRulesError(
            ["The rule file has no list under 'rules'; begin it with 'rules:' and a list of rules."]
        )
    try:
        rules = _File.model_validate(data).rules
    except ValidationError as error:
        raise InvalidRulesError([_sentence(dict(e), data) for e in error.errors()]) from None
    _refuse_twins(rules)
    return rules


def _refuse_twins(rules: Sequence[Rule]) -> None:
    seen = [(rule.code, rule.version) for rule in rules]
    twins = sorted({key for key in seen if seen.count(key) > 1})
    if twins:
        raise InvalidRulesError(
            [f"Rule '{code}' has version {version} twice; number each version once." for code, version in twins]
        )


_SAYINGS = {
    "extra_forbidden": "is not a known key; remove it or correct its spelling",
    "missing": "is missing; add it",
}


def _sentence(error: Mapping[str, Any], data: Any) -> str:
    where = _where(tuple(error["loc"]), data)
    said = _SAYINGS.get(error["type"])
    if said:
        return f"{where} {said}."
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{where}: {message[0].lower()}{message[1:]}."


def _where(path: tuple[int | str, ...], data: Any) -> str:
    """Name a place as a person would: Rule 'freeze-protection-trip': condition.equals."""
    if len(path) < 2 or path[0] != "rules":  # noqa: PLR2004  # the list and the number of the rule
        return f"'{path[0]}'" if path else "The rule file"
    entry = data["rules"][path[1]]
    code = entry.get("code") if isinstance(entry, Mapping) else None
    head = f"Rule '{code}'" if code else f"Rule no. {int(path[1]) + 1}"
    tail = ".".join(str(step) for step in path[2:] if step not in {"limit", "deviation", "state", "stale"})
    return f"{head}: '{tail}'" if tail else head
