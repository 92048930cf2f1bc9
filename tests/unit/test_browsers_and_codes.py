"""What a browser calls itself, and QR codes as a path."""

import re

import pytest
import segno

from web.browsers import browser
from web.qr import QUIET, drawing

CHROME = "(X11; Linux x86_64) Chrome/131.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (CHROME, "Chrome 131 · Linux"),
        ("(Windows NT 10.0; Win64; x64) Chrome/131.0.0.0 Safari/537.36 Edg/130.0.1", "Edge 130 · Windows"),
        ("(iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Mobile/15E148 Safari/604.1", "Safari 18 · iPhone"),
        ("(Linux; Android 15) Chrome/131.0.0.0 Mobile Safari/537.36", "Chrome 131 · Android"),
        ("(Macintosh; Intel Mac OS X 14.7; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox 132 · macOS"),
        ("Firefox/132.0", "Firefox 132"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
    ],
)
def test_a_browser_is_named_as_a_person_would(said: str, shown: str) -> None:
    assert browser(said) == shown


@pytest.mark.parametrize("text", ["x", "otpauth://totp/Plantroom:li.wei?secret=" + "A" * 32 + "&issuer=Plantroom"])
def test_the_path_draws_every_dark_module_and_leaves_the_quiet_zone_free(text: str) -> None:
    made = drawing(text)
    matrix = segno.make(text, error="m", micro=False).matrix
    drawn = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", made.path)}
    dark = {(x + QUIET, y + QUIET) for y, row in enumerate(matrix) for x, module in enumerate(row) if module}
    assert (drawn, made.size) == (dark, len(matrix) + 8)
