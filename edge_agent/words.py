"""What a gateway works out, does and allows by itself, said in words for whoever checks a site file.  Pure."""

from collections.abc import Iterable

from edge_agent.config import EdgeConfig
from edge_agent.local import Interlock, Rule
from rules.model.point import Point


def judged(config: EdgeConfig) -> Iterable[str]:
    """Say derived points, local rules by rank, and interlocks, one line each."""
    points = {asked.point.code: asked.point for device in config.devices for asked in device.points}
    for one in config.local.derived:
        yield f"  derived {one.point.code}{_in(one.point)} = {one.expression.text}"
    for rule in config.local.rules:
        rank = " (life safety)" if rule.life_safety else ""
        yield f"  local rule {rule.code}{rank}: {_rule(rule, points[rule.point])}"
    for lock in config.local.interlocks:
        yield f"  interlock {lock.code}: {_interlock(lock, points[lock.point])}"


def allowed(config: EdgeConfig) -> Iterable[str]:
    """Say what may be set from the centre, one line for each point."""
    points = {asked.point.code: asked.point for device in config.devices for asked in device.points}
    for code, one in sorted(config.allowances.items()):
        unit = f" {points[code].unit}" if code in points and points[code].unit else ""
        second = ", by two people only" if one.critical else ""
        every = f"{one.every.total_seconds():g} s"
        yield f"  {code} may be set from the centre from {one.low:g} to {one.high:g}{unit}, once in {every}{second}"


def _rule(rule: Rule, point: Point) -> str:
    delay = f" for {rule.manner.delay_s:g} s" if rule.manner.delay_s else ""
    said = [f"while {rule.when.text}{delay}, {rule.point} is kept at {_value(rule.to, point)}"]
    if rule.manner.latch:
        until = f"until {rule.reset.text}" if rule.reset is not None else "until somebody resets it"
        said.append(f"it latches {until}")
    elif rule.after is not None:
        said.append(f"then it is set to {_value(rule.after, point)}")
    said.append(f"what cannot be judged {'counts as so' if rule.manner.act_when_unknown else 'changes nothing'}")
    return "; ".join(said)


def _interlock(lock: Interlock, point: Point) -> str:
    may = "may not be set" if lock.only is None else f"may be set to {_value(lock.only, point)} only"
    doubt = "counts as so" if lock.block_when_unknown else "does not count"
    return f"while {lock.when.text}, {lock.point} {may}; what cannot be judged {doubt}"


def _value(value: float, point: Point) -> str:
    return f"{value:g} {point.unit}".rstrip()


def _in(point: Point) -> str:
    return f" in {point.unit}" if point.unit else ""
