"""What a simulated camera shows: a drawn hall with drawn people, marked so that nobody takes it for a photograph."""

import io
from datetime import datetime

from PIL import Image, ImageDraw, ImageFont

from simulators.noise import between, key

SIZE = (1280, 720)
HORIZON = 300
WALL, FLOOR, DOOR, LINE = "#cfd6db", "#b9b4aa", "#8d979f", "#6f7a83"
COAT = ("#3d5a73", "#6b4f3f", "#4f6b4a", "#5d4a6b")


def still(camera: str, seed: int, at: datetime, people: int) -> bytes:
    """Give what the camera sees at ``at`` as JPEG; the same arguments give the same picture."""
    image = Image.new("RGB", SIZE, WALL)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, HORIZON, *SIZE), FLOOR)
    for x in range(-600, SIZE[0] + 600, 160):
        draw.line((SIZE[0] // 2 + (x - SIZE[0] // 2) // 3, HORIZON, x, SIZE[1]), LINE)
    for x in (180, 560, 940):
        draw.rectangle((x, 110, x + 160, HORIZON), DOOR, LINE)
    stream = key(seed, f"{camera} {int(at.timestamp())}")
    for n in range(people):
        _person(draw, between(stream, 120, 1160, n), between(stream, 0.7, 1.3, n + people), COAT[n % len(COAT)])
    draw.rectangle((0, 0, SIZE[0], 44), "#000")
    draw.text((14, 8), f"{camera}  {at:%Y-%m-%d %H:%M:%S} UTC  SIMULATED", "#fff", ImageFont.load_default(24))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def _person(draw: ImageDraw.ImageDraw, x: float, size: float, coat: str) -> None:
    feet, tall = HORIZON + 300 * size, 260 * size
    draw.ellipse((x - 22 * size, feet - tall, x + 22 * size, feet - tall + 46 * size), "#d9b99b", LINE)
    draw.rounded_rectangle((x - 38 * size, feet - tall + 48 * size, x + 38 * size, feet - 90 * size), 16, coat)
    for side in (-1, 1):
        draw.rectangle((x + side * 22 * size - 11, feet - 92 * size, x + side * 22 * size + 11, feet), "#39434b")
