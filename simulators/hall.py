"""A drawn hall in front of a simulated camera: furniture, a figure that walks by, light that comes and goes, noise.

Pure: the same (camera, seed, instant, show) gives the same picture.  Marked so that nobody takes it for a photograph.
"""

import math
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.noise import between, key

Picture = NDArray[np.uint8]

SIZE = (640, 360)
MARGIN = 60  # pixels of the hall beyond each edge: a camera that is moved sees them
HORIZON = 0.42
NOISES = 8  # drawn once, then shown in turn
NOISE_LEVEL = 4.0
LIGHT_SHARE = 0.2  # how far the light goes up and down
LIGHT_S = 900.0
WALK_S = 10.0
WALK_EVERY_S = 60.0
COVER = 105
DARKNESS = 0.03
MOVED_BY = (42, -26)  # pixels


@dataclass(frozen=True, slots=True)
class Figure:
    """Somebody in the picture: where his feet are and how tall he is, as shares of the picture."""

    x: float
    feet: float = 0.85
    tall: float = 0.4


@dataclass(frozen=True, slots=True)
class Show:
    """What is wrong with a camera, and who else is in front of it."""

    dark: bool = False
    covered: bool = False
    moved: bool = False
    figures: tuple[Figure, ...] = ()


PLAIN = Show()


def walker(camera: str, seed: int, at: datetime) -> Figure | None:
    """Give the figure that crosses the hall once a minute, from left to right in ten seconds."""
    phase_s = (at.timestamp() - between(key(seed, camera), 0, WALK_EVERY_S)) % WALK_EVERY_S
    return walking(phase_s) if phase_s < WALK_S else None


def walking(passed_s: float, tall: float = 0.4) -> Figure:
    """Give a figure that began to cross the hall ``passed_s`` ago."""
    return Figure(-0.1 + 1.2 * passed_s / WALK_S, tall=tall)


class Hall:
    """What one camera sees; ``level`` is the noise of its sensor in steps of grey."""

    def __init__(self, camera: str, seed: int, size: tuple[int, int] = SIZE, level: float = NOISE_LEVEL) -> None:
        self.camera = camera
        self.seed = seed
        self.size = size
        self._hall = _furnished(key(seed, camera), size)
        chance = np.random.default_rng(key(seed, f"{camera} noise"))
        shape = (NOISES, size[1], size[0], 1)
        self._noise = (chance.standard_normal(shape, np.float32) * level).round().astype(np.int16)

    def picture(self, at: datetime, show: Show = PLAIN) -> Picture:
        """Give what the camera sees at ``at``, blue green red, one byte each."""
        width, height = self.size
        if show.covered:
            seen = np.full((height, width, 3), COVER, np.uint8)
        else:
            dx, dy = MOVED_BY if show.moved else (0, 0)
            seen = self._hall[MARGIN + dy : MARGIN + dy + height, MARGIN + dx : MARGIN + dx + width].copy()
            for figure in show.figures:
                _person(seen, figure)
        gain = DARKNESS if show.dark else 1.0 + LIGHT_SHARE * math.sin(at.timestamp() * math.tau / LIGHT_S)
        noise = self._noise[int(at.timestamp() * 25) % NOISES]
        lit: Picture = np.clip(seen * np.float32(gain) + noise, 0, 255).astype(np.uint8)
        _banner(lit, f"{self.camera}  {at:%Y-%m-%d %H:%M:%S} UTC  SIMULATED")
        return lit


def _furnished(stream: int, size: tuple[int, int]) -> Picture:
    width, height = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
    horizon = int(height * HORIZON)
    hall = np.full((height, width, 3), (200, 196, 190), np.uint8)
    hall[horizon:] = (150, 158, 160)
    for x in range(-width, 2 * width, width // 9):
        cv2.line(hall, (width // 2 + (x - width // 2) // 3, horizon), (x, height), (110, 118, 122), 2)
    for n in range(5):
        left = int(width * (0.02 + 0.2 * n))
        cv2.rectangle(hall, (left, height // 7), (left + width // 9, horizon), (130, 125, 120), -1)
        cv2.rectangle(hall, (left, height // 7), (left + width // 9, horizon), (70, 70, 70), 2)
    for n in range(12):
        x, y = int(between(stream, 0, width, n)), int(between(stream, horizon * 0.3, height * 0.9, n + 20))
        wide, high = int(between(stream, 14, 50, n + 40)), int(between(stream, 10, 34, n + 60))
        shade = int(between(stream, 60, 230, n + 80))
        cv2.rectangle(hall, (x, y), (x + wide, y + high), (shade, 255 - shade, shade), -1)
    return hall


def _person(picture: Picture, figure: Figure) -> None:
    height, width = picture.shape[:2]
    x, feet, tall = int(figure.x * width), int(figure.feet * height), figure.tall * height
    head, wide = int(tall * 0.1), int(tall * 0.14)
    cv2.rectangle(picture, (x - wide, feet - int(tall * 0.8)), (x + wide, feet - int(tall * 0.4)), (90, 60, 50), -1)
    for side in (-1, 1):
        leg = x + side * wide // 2
        cv2.rectangle(picture, (leg - wide // 3, feet - int(tall * 0.4)), (leg + wide // 3, feet), (50, 50, 40), -1)
    cv2.circle(picture, (x, feet - int(tall * 0.9)), max(head, 1), (150, 180, 215), -1)


def _banner(picture: Picture, text: str) -> None:
    cv2.rectangle(picture, (0, 0), (picture.shape[1], 20), (0, 0, 0), -1)
    cv2.putText(picture, text, (8, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
