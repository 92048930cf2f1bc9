"""One small grey picture and what can be said of it alone: dark, flat, the same as another."""

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]  # rows, columns
Colour = NDArray[np.uint8]  # rows, columns, blue green red

WIDTH = 192  # columns of the small picture
ROWS_MAX = 384  # a picture higher than two widths is squeezed
DARK_MEAN = 22.0  # of 255
DARK_LIGHTS = 60.0  # the brightest twentieth is below it, or something is lit
LIGHT_SHARE = 95.0  # percent
BLOCK = 12  # pixels; the side of a block whose structure is judged
FLAT_SPREAD = 4.0  # standard deviation; sensor noise that was averaged by the shrinking stays below
SAME_STEPS = 1  # grey steps by which a repeated picture may differ
QUALITIES = (85, 70, 50)
SMALLER = 0.7
STILL_SIDE_MAX = 1920  # pixels


def shrink(picture: Colour) -> Grey:
    """Give a picture in grey, WIDTH columns wide; averaging takes most of the sensor's noise away."""
    rows = min(max(BLOCK, round(picture.shape[0] * WIDTH / picture.shape[1])), ROWS_MAX)
    small = cv2.resize(picture, (WIDTH, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def dark(grey: Grey) -> bool:
    """Whether next to nothing can be seen: neither bright on the whole nor anywhere lit."""
    return float(grey.mean()) < DARK_MEAN and float(np.percentile(grey, LIGHT_SHARE)) < DARK_LIGHTS


def flatness(grey: Grey) -> float:
    """Give the share of blocks without structure: near 1 when something hangs before the lens."""
    rows, columns = grey.shape[0] // BLOCK, grey.shape[1] // BLOCK
    blocks = grey[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return float((blocks.std(axis=(1, 3), dtype=np.float32) < FLAT_SPREAD).mean())


def same(grey: Grey, other: Grey) -> bool:
    """Whether two pictures are one that is shown again: the noise of a living sensor tells them apart."""
    return grey.shape == other.shape and int(cv2.absdiff(grey, other).max()) <= SAME_STEPS


def still(picture: Colour, most: int) -> bytes:
    """Give a picture as JPEG of at most so many bytes: first coarser, then smaller."""
    scale = min(1.0, STILL_SIDE_MAX / max(picture.shape[:2]))
    while True:
        sized = picture if scale == 1.0 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for quality in QUALITIES:
            data = cv2.imencode(".jpg", sized, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(data) <= most:
                return data
        scale *= SMALLER
