"""Readings that the gateway makes itself: of derived points, and of what its local rules do.  Pure."""

from datetime import datetime

from edge_agent.inputs import Inputs
from edge_agent.local import DerivedPoint, Rule
from rules.control.local_rule import Standing
from rules.model.evaluation import Missing, evaluate
from rules.model.quality import Quality
from rules.model.reading import Reading

QUIET, HELD, TRYING = 0.0, 1.0, 2.0  # what a rule's sign shows


def derive(one: DerivedPoint, inputs: Inputs, now: datetime, now_s: float) -> Reading:
    """Work out a derived point: its time is that of the newest input, its quality that of the worst."""
    names = one.expression.points
    said = evaluate(one.expression, inputs.values(names, now_s))
    at = inputs.moment(names, now)
    if isinstance(said, Missing):
        return Reading(one.point.code, at, None, Quality.BAD, error=said.reason)
    quality = Quality.UNCERTAIN if inputs.doubtful(names) else Quality.GOOD
    return Reading(one.point.code, at, float(said), quality)


def sign(rule: Rule, standing: Standing, *, held: bool, now: datetime) -> Reading:
    """Show what a rule does; uncertain while it cannot be judged."""
    value = QUIET if not standing.acting else HELD if held else TRYING
    quality = Quality.UNCERTAIN if standing.doubt else Quality.GOOD
    return Reading(rule.sign.code, now, value, quality, error=standing.doubt)
