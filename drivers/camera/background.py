"""The scene without what moves in it, learnt slowly: what stands out, and whether it is still the same."""

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.camera.picture import Grey

Mask = NDArray[np.uint8]  # 1 where something is
Levels = NDArray[np.float32]

WARM_S = 2.0  # before it nothing stands out
SETTLED_S = 5.0  # before it no other scene is told
LEARN_S = 15.0  # time constant of light that changes
STILL_S = 60.0  # time constant of what stands out and rests: a parked trolley
MOVING_S = 240.0  # time constant of what stands out and moves
EDGE_LEARN_S = 30.0
STEPS_MIN = 14.0  # grey steps that something must differ by
NOISES = 5.0  # or so many times the noise
NOISE_LEARN_S = 5.0
DARK_FLOOR = 16.0  # grey steps below which ratios of light say nothing
SPARSE = 4  # every so manieth pixel is enough for a median
JOIN = 5  # pixels between parts of one body that are taken as one
EDGE_SHARE = 90.0  # percent: the strongest tenth of all gradients are edges
EDGE_MIN = 24.0
EDGES_MIN = 80  # pixels; a scene with fewer cannot be told from another


class Background:
    """What the camera sees when nothing happens; ``learn`` once for every picture."""

    def __init__(self) -> None:
        self.age_s = 0.0
        self._levels: Levels = np.zeros((0, 0), np.float32)
        self._before: Grey = np.zeros((0, 0), np.uint8)
        self._edges: Levels = np.zeros((0, 0), np.float32)
        self._energy = 0.0
        self._noise = 1.0

    def begin(self, grey: Grey) -> None:
        """Forget the scene and start with this picture."""
        self.age_s = 0.0
        self._levels = grey.astype(np.float32)
        self._before = grey
        edges, self._energy = _edges(grey)
        self._edges = edges.astype(np.float32)

    def fits(self, grey: Grey) -> bool:
        """Whether the picture has the size of those before."""
        return grey.shape == self._levels.shape

    def foreground(self, grey: Grey) -> Mask:
        """Give what stands out; light that changes everywhere by one factor does not."""
        if self.age_s < WARM_S:
            return np.zeros(grey.shape, np.uint8)
        expected = self._levels * np.float32(self._gain(grey))
        steps = max(STEPS_MIN, NOISES * self._noise)
        mask = (np.abs(grey - np.minimum(expected, np.float32(255))) > steps).astype(np.uint8)
        joined = cv2.morphologyEx(cv2.medianBlur(mask, 3), cv2.MORPH_CLOSE, np.ones((JOIN, JOIN), np.uint8))
        return np.asarray(joined, np.uint8)

    def learn(self, grey: Grey, mask: Mask, seconds: float) -> None:
        """Take a picture in: quickly where nothing stands out, slowly where something rests, hardly where it moves."""
        if seconds <= 0:
            return
        self.age_s += seconds
        change = cv2.absdiff(grey, self._before)
        spans = np.where(mask == 0, LEARN_S, np.where(change > STEPS_MIN / 2, MOVING_S, STILL_S)).astype(np.float32)
        if self.age_s < WARM_S:
            spans = np.full(grey.shape, self.age_s, np.float32)
        self._levels += (grey - self._levels) * np.minimum(np.float32(seconds) / spans, np.float32(1))
        self._noise += (float(np.median(change[::SPARSE, ::SPARSE])) - self._noise) * min(seconds / NOISE_LEARN_S, 1.0)
        share = min(seconds / min(EDGE_LEARN_S, self.age_s), 1.0)
        edges, energy = _edges(grey)
        self._edges += (edges - self._edges) * np.float32(share)
        self._energy += (energy - self._energy) * share
        self._before = grey

    def likeness(self, grey: Grey) -> tuple[float, float]:
        """Give the share of the scene's lasting edges that are still there, and the strength of all edges against then.

        The share is freed of chance (0: as any other picture; after Cohen's kappa); (1, 1) while there is nothing to
        compare with.  A change of light moves no edge, and a person hides few.
        """
        lasting = self._edges > 0.5  # noqa: PLR2004  # there for most of the time
        if self.age_s < SETTLED_S or int(lasting.sum()) < EDGES_MIN or self._energy <= 0:
            return 1.0, 1.0
        edges, energy = _edges(grey)
        near = cv2.dilate(edges, np.ones((3, 3), np.uint8))
        chance = min(float(near.mean()), 0.99)
        return (float(near[lasting].mean()) - chance) / (1 - chance), energy / self._energy

    def _gain(self, grey: Grey) -> float:
        expected = self._levels[::SPARSE, ::SPARSE]
        lit = expected > DARK_FLOOR
        return float(np.median(grey[::SPARSE, ::SPARSE][lit] / expected[lit])) if lit.any() else 1.0


def _edges(grey: Grey) -> tuple[Mask, float]:
    """Give where the strongest gradients are, and the mean of all."""
    calm = cv2.blur(grey, (3, 3))
    across, down = cv2.Sobel(calm, cv2.CV_32F, 1, 0), cv2.Sobel(calm, cv2.CV_32F, 0, 1)
    strength = np.asarray(cv2.magnitude(across, down), np.float32)
    least = max(EDGE_MIN, float(np.percentile(strength[::SPARSE, ::SPARSE], EDGE_SHARE)))
    return (strength >= least).astype(np.uint8), float(strength.mean())
