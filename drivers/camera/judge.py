"""What a row of small pictures means: frozen, dark, covered, moved, motion, a line crossed, somebody in a zone.

Pure: pictures and times come in, a verdict goes out.  Faces are never looked for.
"""

from dataclasses import dataclass
from datetime import datetime

from drivers.camera import picture
from drivers.camera.background import Background, Mask
from drivers.camera.bodies import Body, Ways, bodies
from drivers.camera.picture import Grey
from drivers.camera.steady import Steady
from rules.model import outline
from rules.model.watch import Watch

MOTION_ON_S, MOTION_OFF_S = 0.3, 2.0
FAULT_ON_S, FAULT_OFF_S = 1.5, 2.0
LINE_HOLD_S = 3.0  # a crossing is over in a moment; its state stays for a poll to see
FLOODED = 0.6  # share that stands out: that is light, not a body
COVERED_FLAT = 0.85  # share of flat blocks
COVERED_MORE = 0.2  # and so much more than the scene has by itself
FLAT_LEARN_S = 30.0
STRANGE = 0.55  # share of the scene's edges still there: below it the camera looks elsewhere
STRENGTH_MIN = 0.5  # of the scene's edges; with less it is the light that has gone
RELEARN_S = 600.0  # after that a moved camera has a new scene
STEP_S_MAX = 1.0  # a gap counts as no more


@dataclass(frozen=True, slots=True)
class Verdict:
    """What holds now, and the causes of stills (``rules.model.event.Still``) that have just begun."""

    frozen: bool
    dark: bool
    covered: bool
    moved: bool
    motion: bool
    line: bool
    intrusion: bool
    begun: tuple[str, ...]


class Judge:
    """Judges one camera; what it has learnt outlives a broken stream."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._background = Background()
        self._ways = Ways()
        self._before: Grey | None = None
        self._last_s: float | None = None
        self._changed_s = 0.0
        self._flat: float | None = None
        self._line_until_s = float("-inf")
        self._strange_s = 0.0
        self._blind = False  # dark, covered or moved: nothing else can be judged
        self._dark = Steady(FAULT_ON_S, FAULT_OFF_S)
        self._covered = Steady(FAULT_ON_S, FAULT_OFF_S)
        self._moved = Steady(FAULT_ON_S, FAULT_OFF_S)
        self._motion = Steady(MOTION_ON_S, MOTION_OFF_S)
        self._intrusion = Steady(MOTION_ON_S, MOTION_OFF_S)

    def step(self, grey: Grey, at_s: float, local: datetime) -> Verdict:
        """Judge the next picture: ``at_s`` never goes back, ``local`` is site time."""
        seconds = 0.0 if self._last_s is None else min(at_s - self._last_s, STEP_S_MAX)
        self._last_s = at_s
        if self._before is None or not picture.same(grey, self._before):
            self._changed_s = at_s
        self._before = grey
        if not self._background.fits(grey):
            self._background.begin(grey)
        begun = self._faults(grey, at_s, seconds) + self._movement(grey, at_s, local, seconds)
        return Verdict(
            frozen=at_s - self._changed_s >= self._watch.frozen_s,
            dark=self._dark.on,
            covered=self._covered.on,
            moved=self._moved.on,
            motion=self._motion.on,
            line=at_s < self._line_until_s,
            intrusion=self._intrusion.on,
            begun=begun,
        )

    def _faults(self, grey: Grey, at_s: float, seconds: float) -> tuple[str, ...]:
        dark = picture.dark(grey)
        self._dark.step(dark, at_s)
        flat = picture.flatness(grey)
        usual = flat if self._flat is None else self._flat
        covered = not dark and flat >= max(COVERED_FLAT, min(usual + COVERED_MORE, 1.0))
        there, strength = self._background.likeness(grey)
        moved = not dark and not covered and there < STRANGE and strength >= STRENGTH_MIN
        self._blind = dark or covered or moved
        if not self._blind:
            self._flat = usual + (flat - usual) * min(seconds / FLAT_LEARN_S, 1.0)
        self._strange_s = self._strange_s + seconds if moved else 0.0
        if self._strange_s >= RELEARN_S:
            self._background.begin(grey)
        begun = [self._covered.step(covered, at_s), self._moved.step(moved, at_s)]
        return ("fault",) if any(begun) else ()

    def _movement(self, grey: Grey, at_s: float, local: datetime, seconds: float) -> tuple[str, ...]:
        if self._blind:
            seen: list[Body] = []
        else:
            mask = self._background.foreground(grey)
            seen = self._bodies(mask)
            self._background.learn(grey, mask, seconds)
        begun = []
        if self._crossed(seen, at_s, local):
            begun += ["line"] if at_s >= self._line_until_s else []
            self._line_until_s = at_s + LINE_HOLD_S
        if self._intrusion.step(self._intruded(seen, local), at_s):
            begun.append("zone")
        if self._motion.step(bool(seen), at_s):
            begun.append("motion")
        return tuple(begun)

    def _bodies(self, mask: Mask) -> list[Body]:
        return [] if float(mask.mean()) > FLOODED else bodies(mask, self._watch.least_size)

    def _crossed(self, seen: list[Body], at_s: float, local: datetime) -> bool:
        steps = self._ways.step(seen, at_s)
        return any(
            crossing.matters(local)
            and (side := outline.crossed(crossing.start, crossing.end, before, after))
            and crossing.direction in ("both", side)
            for crossing in self._watch.crossing
            for before, after in steps
        )

    def _intruded(self, seen: list[Body], local: datetime) -> bool:
        return any(
            zone.matters(local) and outline.within(zone.polygon, body.foot)
            for zone in self._watch.intrusion
            for body in seen
        )
