"""What a hub that somebody has taken over cannot make a gateway do by pushing it a site file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.config import load
from edge_agent.configuration import Configuration
from rules.wire.configuration import Pushed, State, digest
from tests.field import device_text, site_text, write_site
from tests.leak import known_profile

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BOARDS = device_text("LEAK", 1, "water-board") + device_text("VALVE", 2, "water-board")
SPARE = device_text("SPARE", 3, "water-board")
CAMERA = """
[[line]]
code = "CAM-1"
gateway = "GW-1"
driver = "camera"
url = "rtsp://10.0.0.7/main"
user = "viewer"
poll_s = 1
"""
PLANT = """
[[line]]
code = "UA-1"
gateway = "GW-1"
driver = "opcua"
url = "opc.tcp://10.0.0.8:4840"
security = "Basic256Sha256"
certificate = "/etc/plantroom/ua.pem"
key = "/etc/plantroom/ua.key"
trust = "/etc/plantroom/trusted"
poll_s = 1
"""
READER = """
[[line]]
code = "OSDP-1"
gateway = "GW-1"
driver = "osdp"
host = "10.0.0.9"
port = 4000
poll_s = 1
""" + device_text("RD-1", 4, "osdp-reader").replace('"L1"', '"OSDP-1"')
DERIVED = (
    '[[derived]]\ndevice = "LEAK"\nmeasure = "warmth"\nexpression = "\'LEAK.supply\' - \'LEAK.return\'"\nunit = "K"\n'
)
RULE = """
[[local_rule]]
code = "leak"
when = "'LEAK.wet' == 1 or 'LEAK.warmth' > 30"
point = "VALVE.valve"
to = 0
life_safety = true
"""
LOCK = '[[interlock]]\ncode = "dry"\npoint = "VALVE.valve"\nwhen = "\'LEAK.flow\' > 10"\n'
ALLOWED = '[[allowed]]\npoint = "VALVE.valve"\nlow = 10\nhigh = 60\nevery_s = 30\ncritical = true\n'
OWN = site_text(1502, BOARDS + SPARE) + CAMERA + PLANT + READER + DERIVED + RULE + LOCK + ALLOWED


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with known_profile(monkeypatch):
        yield


def offered(folder: Path, text: str, own: str = OWN) -> str:
    """Push a file to a gateway; gives why it was refused, '' when it went on trial."""
    folder.mkdir(exist_ok=True)
    site = write_site(folder, own)
    running = Configuration(site, folder, load(site), lambda: NOW)
    running.begin()
    taken = running.offer(Pushed(1, digest(text), text), ())
    assert (taken is None) == (running.told.state is State.REFUSED)
    return running.told.reason


def without(part: str) -> str:
    assert part in OWN
    return OWN.replace(part, "")


def changed(before: str, after: str) -> str:
    assert before in OWN
    return OWN.replace(before, after, 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (changed("high = 60", "high = 61"), "allowed point 'VALVE.valve' could be set to more"),
        (changed("low = 10", "low = 0"), "allowed point 'VALVE.valve' could be set to more"),
        (changed("every_s = 30", "every_s = 1"), "or more freely"),
        (changed("critical = true", "critical = false"), "or more freely"),
        (OWN + '[[allowed]]\npoint = "SPARE.valve"\nlow = 0\nhigh = 1\n', "allowed point 'SPARE.valve'"),
        (without(RULE), "the local rules are not those"),
        (changed("life_safety = true", "life_safety = false"), "the local rules are not those"),
        (OWN + RULE.replace("VALVE", "SPARE").replace('"leak"', '"flood"'), "the local rules are not those"),
        (without(LOCK), "the interlocks are not those"),
        (changed("'LEAK.flow' > 10", "'LEAK.flow' > 1000"), "the interlocks are not those"),
        (changed("'LEAK.supply' -", "0 * 'LEAK.supply' -"), "a derived point on which a local rule"),
    ],
)
def test_what_is_set_what_acts_and_what_holds_back_is_not_loosened_from_afar(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert sentence in offered(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (changed("address = 2", "address = 9"), "device 'VALVE' is set, judged by or has a key"),
        (changed("address = 1", "address = 9"), "device 'LEAK' is set, judged by or has a key"),
        (changed('host = "127.0.0.1"', 'host = "10.6.6.6"'), "device 'LEAK' is set"),
        (changed("poll_s = 0.2", "poll_s = 3600"), "device 'LEAK' is set"),
        (changed("10.0.0.7", "10.6.6.6"), "line 'CAM-1' has a password or a certificate"),
        (changed("10.0.0.8", "10.6.6.6"), "line 'UA-1' has a password or a certificate"),
        (changed("/etc/plantroom/trusted", "/tmp/trusted"), "line 'UA-1' has a password or a certificate"),
        (changed("10.0.0.9", "10.6.6.6"), "device 'RD-1' is set, judged by or has a key"),
        (changed("address = 4", "address = 5"), "device 'RD-1' is set, judged by or has a key"),
        (OWN + CAMERA.replace("CAM-1", "CAM-2"), "line 'CAM-2' has a password or a certificate"),
    ],
)
def test_what_is_set_or_signed_in_to_is_not_led_elsewhere_from_afar(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in offered(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        OWN + device_text("NEW", 7),
        without(SPARE),
        changed("high = 60", "high = 50"),
        without(ALLOWED),
        changed(CAMERA, CAMERA.replace("poll_s = 1", "poll_s = 5")),
        without(CAMERA),
        OWN + CAMERA.replace("CAM-1", "CAM-2").replace('user = "viewer"\n', ""),
    ],
)
def test_what_is_only_read_is_changed_from_afar_and_what_may_be_set_made_less(tmp_path: Path, text: str) -> None:
    assert offered(tmp_path, text) == ""


def test_a_point_that_is_set_may_be_read_oftener_but_not_elsewhere(tmp_path: Path) -> None:
    own = site_text(1502, BOARDS) + ALLOWED
    assert offered(tmp_path / "1", own.replace("poll_s = 0.2", "poll_s = 0.5"), own) == ""
    assert "device 'VALVE' is set" in offered(tmp_path / "2", own.replace("address = 2", "address = 9"), own)


def test_only_the_file_on_the_gateway_lets_the_hub_change_all(tmp_path: Path) -> None:
    wider, all_of_it = changed("high = 60", "high = 61"), 'code = "GW-1"\npushed = "all"\n'
    assert "or write pushed" in offered(tmp_path / "1", wider.replace('code = "GW-1"\n', all_of_it))
    assert offered(tmp_path / "2", wider, OWN.replace('code = "GW-1"\n', all_of_it)) == ""


@pytest.mark.parametrize("port", ["spy:///dev/ttyUSB0?file=/etc/passwd", "socket://10.6.6.6:25", "ttyUSB0", ""])
def test_a_serial_port_is_a_path_and_nothing_that_the_library_makes_of_a_name(tmp_path: Path, port: str) -> None:
    text = OWN.replace('host = "127.0.0.1"\nport = 1502\n', f'serial = {{ port = "{port}" }}\n')
    assert text != OWN
    assert "serial port" in offered(tmp_path, text)
