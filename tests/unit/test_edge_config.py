from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from drivers.catalogue import load, names, parse
from drivers.profile import InvalidProfileError
from edge_agent.check import describe
from edge_agent.config import InvalidConfigError, load_all
from edge_agent.config import load as load_config
from rules.control.command import Allowance
from rules.model.point import Kind
from tests.commanding import park_text
from tests.field import device_text, site_text, write_site


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        load_all(write_site(folder, text))
    return caught.value.problems


def test_a_site_file_becomes_points_with_registers(tmp_path: Path) -> None:
    config = load_config(write_site(tmp_path, site_text(1502)))
    (device,) = config.devices
    energy = device.points[0]
    assert (config.site, config.gateway, config.timezone) == ("S1", "GW-1", "Asia/Shanghai")
    assert (energy.point.code, energy.point.kind, energy.point.unit) == ("EM-1.energy", Kind.COUNTER, "kWh")
    assert (energy.point.resolution, energy.point.modulus) == (Decimal("0.01"), Decimal(1000000))
    assert (energy.measure, energy.factor) == ("energy", Decimal(1))
    assert "1 request" in describe(config)[-1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (site_text(1502).replace("poll_s", "pol_s"), "pol_s is not a known key"),
        (site_text(1502) + "x = [", "is not valid TOML"),
        (site_text(1502).replace('driver = "modbus"', 'driver = "knx"'), "'L1' has a driver 'knx' that there is not"),
        (site_text(1502).replace('driver = "modbus"\n', ""), "'L1' names no driver"),
        (site_text(1502).replace('host = "127.0.0.1"\n', ""), "either a host or a serial port"),
        (site_text(1502).replace("port = 1502\n", ""), "needs a port"),
        (site_text(1502, device_text("A", 1) + device_text("B", 1)), "already has"),
        (site_text(1502, device_text("A", 1, "rs-em9")), "there is no profile 'rs-em9'"),
        (site_text(1502, device_text("A", 900)), "is a number from 0 to 255"),
        (site_text(1502, device_text("A", 1, more='units = { energy = "kW" }')), "the meter has 'kWh'"),
        (site_text(1502, device_text("A", 1, more='units = { energy = "J" }')), "no exact step"),
        (site_text(1502, device_text("A", 1, more='units = { energy = "kWhh" }')), "is not a unit"),
        (site_text(1502, device_text("A", 1, more='units = { flow = "m3/h" }')), "does not measure"),
        (park_text(1502).replace("low = 16", "low = 25"), "from 25 down to 24"),
        (park_text(1502).replace("low = 16", "low = nan"), "finite"),
        (park_text(1502).replace("low = 16", "low = 11"), "its profile takes 12 to 30 °C only"),
        (park_text(1502).replace("supply_setpoint", "supply_temp"), "does not name it writable"),
        (park_text(1502).replace("supply_setpoint", "flow"), "does not measure 'flow'"),
        (park_text(1502).replace("AHU-1.supply", "AHU-2.supply"), "names device 'AHU-2', which the file does not have"),
        (park_text(1502).replace(".supply_setpoint", ""), "'AHU-1' point: string should match"),
        (park_text(1502, every_s=0), "'AHU-1.supply_setpoint' every_s: input should be greater"),
        (park_text(1502) + park_text(1502).partition("[[allowed]]")[2].join(["[[allowed]]", ""]), "more than once"),
    ],
)
def test_each_mistake_in_a_site_file_gets_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    said = problems(tmp_path, text)
    assert len([one for one in said if sentence in one]) == 1, said
    assert all(one.endswith(".") and "\n" not in one for one in said)


def test_a_missing_file_a_folder_and_a_binary_get_one_sentence_each(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path, sentence in (
        (tmp_path / "none.toml", "does not exist"),
        (tmp_path, "cannot be read"),
        (tmp_path / "binary.toml", "is not UTF-8"),
    ):
        with pytest.raises(InvalidConfigError, match=sentence):
            load_config(path)


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    assert "line 2" in problems(tmp_path, "a = 1\nb = = 2\n")[0]


def test_an_unknown_gateway_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="there is 'GW-1'"):
        load_config(write_site(tmp_path, site_text(1502)), "GW-2")


def test_a_unit_that_is_a_power_of_ten_is_converted_to_the_last_digit(tmp_path: Path) -> None:
    text = site_text(1502, device_text("A", 1, more='units = { energy = "MWh", power = "W" }'))
    energy, power = load_config(write_site(tmp_path, text)).devices[0].points[:2]
    assert (energy.point.unit, energy.point.resolution, energy.factor) == ("MWh", Decimal("0.00001"), Decimal("0.001"))
    assert energy.point.modulus == Decimal(1000)
    assert (power.point.unit, power.factor, power.point.deadband) == ("W", Decimal(1000), 50.0)


def test_every_shipped_profile_loads() -> None:
    assert {"rs-ahu1", "rs-em1", "rs-em3", "rs-wm1"} <= set(names())
    assert all(load(name).code == name for name in names())
    assert [m.name for m in load("rs-wm1").measure] == ["volume", "flow", "status"]


PROFILE = """
code = "x"
title = "X"
table = "holding"
[[measure]]
name = "a"
kind = "gauge"
unit = "V"
address = 10
encoding = "uint32"
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PROFILE + "adress = 1", "Extra inputs"),
        (PROFILE.replace("address = 10", "address = 65535"), "ends beyond register"),
        (PROFILE.replace("gauge", "counter"), "needs a modulus"),
        (PROFILE.replace("uint32", "float32"), "needs a resolution"),
        (PROFILE + "missing = [0x1_0000_0000]", "wider than its registers"),
        (PROFILE + PROFILE[PROFILE.index("[[") :].replace('"a"', '"b"').replace("10", "11"), "overlap at register 11"),
        (PROFILE.replace('"holding"', '"holding"\nholes = [[11, 12]]'), "stands in the hole 11..12"),
        (PROFILE.replace('code = "x"', 'code = "y"'), "calls itself 'y'"),
    ],
)
def test_an_impossible_profile_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidProfileError, match=sentence):
        parse(text, "x")


def test_what_may_be_set_is_known_to_the_gateway_that_reads_it(tmp_path: Path) -> None:
    config = load_config(write_site(tmp_path, park_text(1502, every_s=30, critical=True)))
    allowed = Allowance(16.0, 24.0, timedelta(seconds=30), critical=True)
    assert dict(config.allowances) == {"AHU-1.supply_setpoint": allowed}
