"""What a pushed site file may not change: who sets plant, what acts and holds back by itself, where passwords go.

Whoever has taken the hub over could push any file, and a trial judges its health alone.  So these parts are as the
gateway's own file has them, unless that says ``pushed = "all"``: they are changed where somebody stands.  What may be
set may become less.  Everything else, devices and lines that are only read, is the hub's to change.
"""

from collections.abc import Iterable

from drivers.driver import Device
from edge_agent.config import EdgeConfig
from rules.control.command import Allowance
from rules.model.line import AnyLine, CameraLine, OnvifLine, OpcuaLine, OsdpLine

MANNERS = {"poll_s": 1.0, "timeout_s": 1.0}  # what may differ in a line on which no rule stands
ADVICE = 'change that in the file on the gateway, or write pushed = "all" into its [[gateway]] there'


def trespasses(own: EdgeConfig, wanted: EdgeConfig) -> list[str]:
    """Give a sentence for everything in a pushed file that only the gateway's own may say."""
    if own.pushed == "all":
        return []
    return [f"{said}; {ADVICE}." for said in (*_looser(own, wanted), *_judged(own, wanted), *_moved(own, wanted))]


def _looser(own: EdgeConfig, wanted: EdgeConfig) -> Iterable[str]:
    for point, asked in wanted.allowances.items():
        granted = own.allowances.get(point)
        if granted is None or not _within(asked, granted):
            yield f"allowed point '{point}' could be set to more, or more freely, than the gateway's own file lets it"


def _within(asked: Allowance, granted: Allowance) -> bool:
    return (
        granted.low <= asked.low
        and asked.high <= granted.high
        and asked.every >= granted.every
        and asked.critical >= granted.critical
    )


def _judged(own: EdgeConfig, wanted: EdgeConfig) -> Iterable[str]:
    if own.local.rules != wanted.local.rules:
        yield "the local rules are not those of the gateway's own file"
    if own.local.interlocks != wanted.local.interlocks:
        yield "the interlocks are not those of the gateway's own file"
    points = _judging(own)
    before = {one.point.code: one for one in own.local.derived if one.point.code in points}
    after = {one.point.code: one for one in wanted.local.derived if one.point.code in points}
    if before != after:
        yield "a derived point on which a local rule or an interlock stands is not as in the gateway's own file"


def _moved(own: EdgeConfig, wanted: EdgeConfig) -> Iterable[str]:
    """Look at devices that are set or stand behind rules, and at lines that somebody signs in to."""
    judging, settable = _devices(_judging(own)), _devices(own.allowances)
    before = dict(_placed(own))
    lines = {line.code: line.line for line in own.lines}
    for code, (line, device) in _placed(wanted):
        old_line, old = before.get(code, (None, None))
        tied = code in settable or isinstance(line, OsdpLine)  # the key of a reader is the device's
        if (code in judging and (line, device) != (old_line, old)) or (
            tied and not (device == old and _alike(line, old_line))
        ):
            yield f"device '{code}' is set, judged by or has a key, and is not as in the gateway's own file"
    for polled in wanted.lines:
        if _signs_in(polled.line) and not _alike(polled.line, lines.get(polled.code)):
            yield f"line '{polled.code}' has a password or a certificate, and is not as in the gateway's own file"


def _devices(points: Iterable[str]) -> set[str]:
    return {point.rpartition(".")[0] for point in points}


def _judging(config: EdgeConfig) -> set[str]:
    """Give all points that a rule or an interlock sets, holds back or stands on, through derived ones too."""
    local = config.local
    conditions = [*(rule.when for rule in local.rules), *(lock.when for lock in local.interlocks)]
    conditions += [rule.reset for rule in local.rules if rule.reset is not None]
    points = {*(rule.point for rule in local.rules), *(lock.point for lock in local.interlocks)}
    points |= {point for condition in conditions for point in condition.points}
    for derived in reversed(local.derived):  # each stands after those that it is made of
        if derived.point.code in points:
            points |= set(derived.expression.points)
    return points


def _placed(config: EdgeConfig) -> Iterable[tuple[str, tuple[AnyLine, Device]]]:
    return ((device.code, (polled.line, device)) for polled in config.lines for device in polled.devices)


def _signs_in(line: AnyLine) -> bool:
    match line:
        case OpcuaLine():
            return any((line.user, line.certificate, line.key, line.trust))
        case OnvifLine() | CameraLine():
            return line.user is not None
        case _:
            return isinstance(line, OsdpLine)


def _alike(line: AnyLine, before: AnyLine | None) -> bool:
    return before is not None and line.model_copy(update=MANNERS) == before.model_copy(update=MANNERS)
