"""Derived points, local rules and interlocks of a site file: what is wrong is said, what is right is said in words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.check import describe
from edge_agent.config import InvalidConfigError, load, load_all
from tests.field import HOST, device_text, site_text, write_site
from tests.leak import known_profile

BOTH = device_text("LEAK", 1, "water-board") + device_text("VALVE", 2, "water-board")
OTHER_GATEWAY = f"""
[[gateway]]
code = "GW-2"
[[line]]
code = "L2"
gateway = "GW-2"
driver = "modbus"
host = "{HOST}"
port = 1503
poll_s = 1
{device_text("FAR", 1, "water-board").replace('"L1"', '"L2"')}
"""


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with known_profile(monkeypatch):
        yield


def derived(measure: str, expression: str, more: str = "", device: str = "LEAK") -> str:
    return f'[[derived]]\ndevice = "{device}"\nmeasure = "{measure}"\nexpression = "{expression}"\n{more}\n'


def rule(code: str = "leak", when: str = "'LEAK.wet' == 1", point: str = "VALVE.valve", more: str = "to = 0") -> str:
    return f'[[local_rule]]\ncode = "{code}"\nwhen = "{when}"\npoint = "{point}"\n{more}\n'


def lock(code: str = "dry", when: str = "'LEAK.flow' > 10", point: str = "VALVE.valve", more: str = "") -> str:
    return f'[[interlock]]\ncode = "{code}"\nwhen = "{when}"\npoint = "{point}"\n{more}\n'


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (derived("heat", "'LEAK.flow' * 'LEAK.gone'"), "'LEAK.heat' names point 'LEAK.gone', but the file does not"),
        (derived("wet", "'LEAK.flow'", 'unit = "m³/h"'), "there is a point 'LEAK.wet' already"),
        (derived("heat", "'LEAK.flow'", 'unit = "kW"'), "it comes out in m³/h, which is not kW"),
        (derived("heat", "'LEAK.flow' + 'LEAK.supply'"), "m³/h and °C cannot be added"),
        (derived("heat", "'LEAK.flow' > 1"), "says yes or no"),
        (derived("heat", "__import__('os')"), "'__import__' is not known here"),
        (derived("heat", "'LEAK.flow'", 'unit = "florps"'), "'florps' is not a unit"),
        (derived("heat", "1", device="NONE"), "names device 'NONE', which the file does not have"),
        (derived("heat", "1") * 2, "'LEAK.heat' stands more than once"),
        (derived("Heat", "1"), "measure"),
        (derived("a", "'LEAK.b'") + derived("b", "'LEAK.c'") + derived("c", "'LEAK.a'"), "go in a circle"),
        (derived("a", "'LEAK.a' + 1"), "go in a circle: 'LEAK.a' needs 'LEAK.a'"),
        (derived("heat", "'FAR.flow'", 'unit = "m³/h"') + OTHER_GATEWAY, "gateway 'GW-1' does not read it"),
        (rule(when="'LEAK.wet'"), "is a number; compare it with one"),
        (rule(point="VALVE.flow"), "'VALVE.flow' cannot be set; its profile does not name it writable"),
        (rule(point="VALVE.gone"), "names point 'VALVE.gone', which the file does not have"),
        (rule(more="to = 101"), "sets 'VALVE.valve' to 101, but its profile takes 0 to 100 % only"),
        (rule(more="to = nan"), "finite"),
        (rule(more='to = 0\nreset = "1 == 1"'), "has a reset but does not latch"),
        (rule(more="to = 0\nlatch = true\nafter = 100"), "latches, so nothing is set after it"),
        (rule(more="to = 0\ndelay_s = 9999"), "delay_s"),
        (rule() * 2, "'leak' stands more than once"),
        (rule(code="wet"), "there is a point 'VALVE.wet' already"),
        (lock(when="'LEAK.flow'"), "is a number; compare it with one"),
        (lock(more="only = 500"), "to 500, but its profile takes 0 to 100 % only"),
        (lock(point="NONE.valve"), "names device 'NONE'"),
    ],
)
def test_each_mistake_gets_one_sentence_with_its_line(tmp_path: Path, more: str, sentence: str) -> None:
    text = site_text(1502, BOTH) + more
    with pytest.raises(InvalidConfigError) as caught:
        load_all(write_site(tmp_path, text))
    said = [problem for problem in caught.value.problems if sentence in problem]
    assert said, caught.value.problems
    assert all("\n" not in problem and problem.endswith(".") for problem in caught.value.problems)
    number = int(said[0].split("line ")[1].split(":")[0])
    assert number > site_text(1502, BOTH).count("\n") - 2


def test_check_says_everything_in_words(tmp_path: Path) -> None:
    more = (
        derived("heat", "'LEAK.flow' * 'LEAK.spread' * unit(1.163, 'kWh/m³/K')", 'unit = "kW"')
        + derived("spread", "'LEAK.return' - 'LEAK.supply'", 'unit = "K"')
        + rule("slow", more="to = 50\ndelay_s = 5\nafter = 100")
        + rule(more="to = 0\nlife_safety = true\nlatch = true\nunknown = 'act'")
        + lock(more="only = 0")
        + '[[allowed]]\npoint = "VALVE.valve"\nlow = 0\nhigh = 60\ncritical = true\n'
    )
    config = load(write_site(tmp_path, site_text(1502, BOTH) + more))
    said = describe(config)[-6:]
    assert said[:2] == [
        "  derived LEAK.spread in K = 'LEAK.return' - 'LEAK.supply'",
        "  derived LEAK.heat in kW = 'LEAK.flow' * 'LEAK.spread' * unit(1.163, 'kWh/m³/K')",
    ]
    assert said[2].startswith("  local rule leak (life safety): while 'LEAK.wet' == 1, VALVE.valve is kept at 0 %; ")
    assert said[2].endswith("it latches until somebody resets it; what cannot be judged counts as so")
    assert "while 'LEAK.wet' == 1 for 5 s, VALVE.valve is kept at 50 %; then it is set to 100 %;" in said[3]
    assert said[4].startswith("  interlock dry: while 'LEAK.flow' > 10, VALVE.valve may be set to 0 % only; ")
    assert said[5] == "  VALVE.valve may be set from the centre from 0 to 60 %, once in 1 s, by two people only"


def test_a_latched_rule_may_be_reset_from_the_centre_and_set_to_nothing_else(tmp_path: Path) -> None:
    latched = rule(more="to = 0\nlatch = true")
    allowed = '[[allowed]]\npoint = "VALVE.leak"\nlow = 0\nhigh = {}\n'
    config = load(write_site(tmp_path, site_text(1502, BOTH) + latched + allowed.format(0)))
    assert list(config.allowances) == ["VALVE.leak"]
    with pytest.raises(InvalidConfigError, match="may be set to 0 alone"):
        load(write_site(tmp_path, site_text(1502, BOTH) + latched + allowed.format(1)))
    with pytest.raises(InvalidConfigError, match="does not measure 'leak'"):
        load(write_site(tmp_path, site_text(1502, BOTH) + rule() + allowed.format(0)))
