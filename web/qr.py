"""QR codes as one path of an inline SVG: a template draws it, so no page carries markup that Python made."""

from dataclasses import dataclass

import segno

QUIET = 4  # modules around it (ISO/IEC 18004)


@dataclass(frozen=True, slots=True)
class Drawing:
    """``size`` modules each way, the quiet zone included; ``path`` draws the dark ones."""

    size: int
    path: str


def drawing(text: str) -> Drawing:
    """Give the QR code of a text."""
    rows = segno.make(text, error="m", micro=False).matrix
    dark = (f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(rows) for x, module in enumerate(row) if module)
    return Drawing(len(rows) + 2 * QUIET, "".join(dark))
