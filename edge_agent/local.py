"""Derived points, local rules and interlocks of one gateway, checked against the points that it reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter

from drivers.driver import Device
from rules.control.local_rule import Manner
from rules.model import local
from rules.model.dimension import fit
from rules.model.expression import Expression, InvalidExpressionError, condition, formula
from rules.model.point import Kind, Point
from rules.model.site import SiteFile


@dataclass(frozen=True, slots=True)
class DerivedPoint:
    """A point that is worked out instead of read."""

    point: Point
    expression: Expression


@dataclass(frozen=True, slots=True)
class Rule:
    """A local rule; ``sign`` is the point by which it shows what it does."""

    sign: Point
    point: str
    step: float  # smallest difference that the point shows
    to: float
    when: Expression
    reset: Expression | None
    manner: Manner
    after: float | None
    life_safety: bool

    @property
    def code(self) -> str:
        """The rule's own."""
        return self.sign.measure


@dataclass(frozen=True, slots=True)
class Interlock:
    """What may not be set meanwhile."""

    code: str
    point: str
    when: Expression
    only: float | None
    block_when_unknown: bool


@dataclass(frozen=True, slots=True)
class Local:
    """All of one gateway: derived points in the order in which they can be worked out, rules by rank."""

    derived: tuple[DerivedPoint, ...] = ()
    rules: tuple[Rule, ...] = ()
    interlocks: tuple[Interlock, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """What these add to the points that are read."""
        return (*(one.point for one in self.derived), *(rule.sign for rule in self.rules))

    @property
    def inputs(self) -> frozenset[str]:
        """Every point that something here depends on."""
        named = (
            *(one.expression for one in self.derived),
            *(rule.when for rule in self.rules),
            *(rule.reset for rule in self.rules if rule.reset is not None),
            *(one.when for one in self.interlocks),
        )
        return frozenset(code for expression in named for code in expression.points) | {r.point for r in self.rules}


def build(file: SiteFile, gateway: str, devices: Mapping[str, Device], problems: list[str]) -> Local:
    """Give what a gateway works out and does by itself; adds a sentence for each problem."""
    lines = {line.code for line in file.line if line.gateway == gateway}
    placed = {device.code: device.line in lines for device in file.device}
    own = {code: device for code, device in devices.items() if placed.get(code)}
    book = _Book(gateway, placed, own, problems)
    derived = book.order([one for one in file.derived if placed.get(one.device, False)])
    rules = [rule for one in file.local_rule if book.is_own(one.point) and (rule := book.rule(one))]
    interlocks = [lock for one in file.interlock if book.is_own(one.point) and (lock := book.interlock(one))]
    rules.sort(key=lambda rule: not rule.life_safety)  # the others stay in the order of the file
    return Local(derived, tuple(rules), tuple(interlocks))


def strays(file: SiteFile) -> Iterable[str]:
    """Give a sentence for everything whose device the file does not have, and for codes that stand twice."""
    devices = {device.code for device in file.device}
    named = [
        *(("derived point", one.point, one.device) for one in file.derived),
        *(("local rule", one.code, one.point.rpartition(".")[0]) for one in file.local_rule),
        *(("interlock", one.code, one.point.rpartition(".")[0]) for one in file.interlock),
    ]
    seen: set[tuple[str, str]] = set()
    for kind, code, device in named:
        if device not in devices:
            yield f"{kind} '{code}' names device '{device}', which the file does not have."
        if (kind, code) in seen:
            yield f"{kind} '{code}' stands more than once in the file; codes are unique."
        seen.add((kind, code))


class _Book:
    """The points of one gateway, and what was found wrong."""

    def __init__(
        self, gateway: str, placed: Mapping[str, bool], devices: Mapping[str, Device], problems: list[str]
    ) -> None:
        self._gateway = gateway
        self._placed = placed
        self._devices = devices
        self._problems = problems
        self.points = {asked.point.code: asked.point for one in devices.values() for asked in one.points}

    def is_own(self, point: str) -> bool:
        """Whether a point's device hangs on this gateway (one that hangs nowhere is said by ``strays``)."""
        return self._placed.get(point.rpartition(".")[0], False)

    def order(self, written: Sequence[local.Derived]) -> tuple[DerivedPoint, ...]:
        """Give derived points, what others depend on first."""
        for one in written:
            self._add(_point_of(one), f"derived point '{one.point}'")
        codes = {one.point for one in written}
        made = {one.point: derived for one in written if (derived := self._derived(one))}
        graph = {code: codes & set(derived.expression.points) for code, derived in made.items()}
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = " needs ".join(f"'{code}'" for code in reversed(error.args[1]))
            self._problems.append(f"derived points go in a circle: {circle}; take one of them out of its expression.")
            return ()
        return tuple(made[code] for code in order if code in made)

    def _derived(self, one: local.Derived) -> DerivedPoint | None:
        who = f"derived point '{one.point}'"
        try:
            expression = formula(one.expression)
            if self._all_known(who, expression):
                return DerivedPoint(_point_of(one), fit(expression, self._units(expression), one.unit))
        except InvalidExpressionError as error:
            self._problems.append(f"{who}: {error}.")
        return None

    def rule(self, one: local.LocalRule) -> Rule | None:
        """Give a rule that can be used."""
        who = f"local rule '{one.code}'"
        device = one.point.rpartition(".")[0]
        sign = Point(f"{device}.{one.code}", device, one.code, Kind.STATE, "", Decimal(1))
        self._add(sign, who)
        if one.reset is not None and not one.latch:
            self._problems.append(f"{who} has a reset but does not latch; add latch = true, or remove reset.")
        if one.after is not None and one.latch:
            self._problems.append(f"{who} latches, so nothing is set after it; remove after, or latch.")
        when, reset = self._condition(who, one.when), self._condition(who, one.reset)
        if (
            not self._can_set(who, one.point, (one.to, one.after))
            or when is None
            or (one.reset is not None and reset is None)
        ):
            return None
        manner = Manner(one.delay_s, one.latch, one.unknown == "act")
        step = float(self.points[one.point].resolution)
        return Rule(sign, one.point, step, one.to, when, reset, manner, one.after, one.life_safety)

    def interlock(self, one: local.Interlock) -> Interlock | None:
        """Give an interlock that can be used."""
        who = f"interlock '{one.code}'"
        when = self._condition(who, one.when)
        if not self._can_set(who, one.point, (one.only,)) or when is None:
            return None
        return Interlock(one.code, one.point, when, one.only, one.unknown == "block")

    def _add(self, point: Point, who: str) -> None:
        if point.code in self.points:
            self._problems.append(f"{who}: there is a point '{point.code}' already; choose another name.")
        self.points.setdefault(point.code, point)

    def _condition(self, who: str, text: str | None) -> Expression | None:
        if text is None:
            return None
        try:
            expression = condition(text)
            return fit(expression, self._units(expression)) if self._all_known(who, expression) else None
        except InvalidExpressionError as error:
            self._problems.append(f"{who}: {error}.")
            return None

    def _units(self, expression: Expression) -> dict[str, str]:
        return {code: self.points[code].unit for code in expression.points}

    def _all_known(self, who: str, expression: Expression) -> bool:
        unknown = [code for code in expression.points if code not in self.points]
        for code in unknown:
            device = code.rpartition(".")[0]
            why = (
                f"gateway '{self._gateway}' does not read it; a gateway judges by its own points"
                if self._placed.get(device) is False
                else "the file does not have it"
            )
            self._problems.append(f"{who} names point '{code}', but {why}.")
        return not unknown

    def _can_set(self, who: str, point: str, values: Iterable[float | None]) -> bool:
        if point not in self.points:
            self._problems.append(f"{who} names point '{point}', which the file does not have.")
        elif (limits := _limits(self._devices, point)) is None:
            self._problems.append(f"{who}: '{point}' cannot be set; its profile does not name it writable.")
        elif wrong := [value for value in values if value is not None and not limits[0] <= value <= limits[1]]:
            within = f"{limits[0]:g} to {limits[1]:g} {self.points[point].unit}".rstrip()
            self._problems.append(f"{who} sets '{point}' to {wrong[0]:g}, but its profile takes {within} only.")
        else:
            return True
        return False


def _point_of(one: local.Derived) -> Point:
    return Point(one.point, one.device, one.measure, Kind(one.kind), one.unit, one.resolution, deadband=one.deadband)


def _limits(devices: Mapping[str, Device], code: str) -> tuple[float, float] | None:
    """Between which values a point may be set, in its unit; None: it cannot be set."""
    device, _, name = code.rpartition(".")
    measure = next((measure for measure in devices[device].profile.measures if measure.name == name), None)
    asked = next((asked for asked in devices[device].points if asked.measure == name), None)
    writable: tuple[Decimal, Decimal] | None = getattr(measure, "writable", None)
    if writable is None or asked is None:
        return None
    return float(writable[0] * asked.factor), float(writable[1] * asked.factor)
