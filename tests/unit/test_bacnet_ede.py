"""EDE files as tools really write them, and the profiles that come of them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from deploy.cli import app
from drivers.bacnet import draft
from drivers.bacnet.ede import BYTES_MAX, PROBLEMS_MAX, InvalidEdeError, read
from drivers.bacnet.profile import BacnetProfile
from drivers.catalogue import parse

TITLE = """#Engineering-Data-Exchange - B.I.G.-EU;;;
PROJECT_NAME;Rathaus Süd;;
VERSION_OF_REFERENCEFILE;3;;
TIMESTAMP_OF_LAST_CHANGE;2025-03-01;;
AUTHOR_OF_LAST_CHANGE;M. Muster;;
VERSION_OF_LAYOUT;2.3;;
#mandatory;mandatory;mandatory;mandatory;mandatory;optional;optional;optional;optional;optional;optional;optional
"""
COLUMNS = (
    "# keyname;device obj.-instance;object-name;object-type;object-instance;description;present-value-default;"
    "min-present-value;max-present-value;settable;supports COV;hi-limit;low-limit;state-text-reference;unit-code;"
    "vendor-specific-addres\n"
)
ROWS = """AHU01.TSu;4711;AHU01'TSu;0;1;Zuluft Temperatur;;-50;150;N;Y;;;;62;
AHU01.FanSu;4711;AHU01'FanSu;4;2;Zuluft Ventilator;0;;;Y;Y;;;1;;
AHU01.Mode;4711;AHU01'Mode;19;3;Betriebsart;1;1;3;Y;Y;;;2;;
AHU01.Dev;4711;AHU01;8;4711;;;;;;;;;;;
AHU01.Wh;4711;AHU01'Wh;23;5;Zähler;;;;N;N;;;;19;
"""
STATES = """#State Text Reference;;;
#Reference Number;Text 1 or Inactive-Text;Text 2 or Active-Text;Text 3
1;Aus;Ein
2;Auto;Hand;Frost
"""
TEXT = TITLE + COLUMNS + ROWS


def objects(data: bytes, states: bytes | None = None) -> list[draft.Listed]:
    found = read(data, states)
    assert found.problems == []
    return found.devices[4711]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_encoding_separator_and_line_end_gives_the_same(encoding: str, separator: str, end: str) -> None:
    found = objects(TEXT.replace(";", separator).replace("\n", end).encode(encoding))
    assert [one.object for one in found] == [
        "analog-input,1", "binary-output,2", "multi-state-value,3", "accumulator,5",
    ]  # fmt: skip
    assert found[3].description == "Zähler"
    assert [one.units for one in found] == [62, None, None, 19]
    assert [one.settable for one in found] == [False, True, True, False]
    assert read(TEXT.encode()).project == "Rathaus Süd"


def test_states_are_named_from_0_for_binaries_and_from_1_for_the_others() -> None:
    found = objects(TEXT.encode(), STATES.encode("latin-1"))
    assert found[1].states == {0: "Aus", 1: "Ein"}
    assert found[2].states == {1: "Auto", 2: "Hand", 3: "Frost"}


@pytest.mark.parametrize(
    "columns",
    [
        "Keyname;Device obj. instance;Object Name;Object Type;Object Instance;Description",
        "description;object-instance;object-type;object-name;device obj.-instance;key",
        "sep=;\nkeyname;Device-Obj.-Instance;Object-Name;Object-Type;Object-Instance;Description",
        "# keyname;device object-instance;object name;object type;object instance;description",
    ],
)
def test_headers_in_other_orders_and_spellings_are_understood(columns: str) -> None:
    last = columns.rpartition("\n")[2]
    order = [field.strip("# ").casefold()[:9] for field in last.split(";")]
    said = {"keyname": "k", "key": "k", "device ob": "7", "device-ob": "7", "object na": "n", "object-na": "n",
            "object ty": "analog-input", "object-ty": "AI", "object in": "12.0", "object-in": "12",
            "descripti": "d"}  # fmt: skip
    text = f"{columns}\n{';'.join(said[name] for name in order)}\n"
    assert [one.object for one in read(text.encode()).devices[7]] == ["analog-input,12"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("k;x;n;0;1;", "'x' is no device number"),
        ("k;4194303;n;0;1;", "is no device number"),
        ("k;7;n;valve;1;", "'valve' is no object type"),
        ("k;7;n;4000;1;", "'4000' is no object type"),
        ("k;7;n;0;;", "'' is no object number"),
        ("k;7;n;0;-1;", "'-1' is no object number"),
        ("k;7", "'' is no object type"),
        ("k;4711;again;0;1;", "stands more than once"),
        ("k;7;n;0;1;;;;;;;;;;degrees;", "unit 'degrees' is no BACnet number"),
    ],
)
def test_a_wrong_line_is_named_with_its_number_and_the_rest_is_taken(row: str, problem: str) -> None:
    found = read((TEXT + row + "\n").encode())
    assert len(found.devices[4711]) == 4
    [said] = found.problems
    assert said.startswith(f"line {TEXT.count(chr(10)) + 1}: ")
    assert problem in said


def test_a_unit_file_gives_the_numbers_of_texts() -> None:
    text = TITLE + COLUMNS + "k;7;n;0;1;;;;;;;;;;Grad C;\n"
    assert read(text.encode(), None, b"#Encoding;Text\n62;grad c\n").devices[7][0].units == 62


def test_a_state_that_is_not_in_its_file_is_said() -> None:
    found = read(TEXT.encode(), b"1;Aus;Ein\n")
    assert [problem for problem in found.problems if "state text 2" in problem]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no line names the columns"),
        (STATES.encode(), "no line names the columns"),
        ((TITLE + COLUMNS).encode(), "no objects"),
        (b"\x89PNG\x0d\x0a\x1a\x0a" + bytes(20), "is"),
        (b"PK\x03\x04" + b"zip" * 200 + b"\x00", "is no text"),
        (b"\xff\xfe" + b"\x00\xd8" * 3 + b"a", "UTF-16"),
        (b"a" * (BYTES_MAX + 1), "is larger"),
    ],
)
def test_what_is_no_ede_file_says_so(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidEdeError, match=reason):
        read(data)


def test_a_file_of_wrong_lines_complains_in_a_bounded_way() -> None:
    found = read((TEXT + "k;x;n;0;1;\n" * 5000).encode())
    assert len(found.problems) == PROBLEMS_MAX + 1


@given(st.binary(max_size=400))
def test_no_octets_break_it(data: bytes) -> None:
    for whole in (data, COLUMNS.encode() + data):
        try:
            read(whole, data, data)
        except InvalidEdeError as error:
            assert str(error)  # noqa: PT017  # a refusal is one of two good ends


@settings(max_examples=40)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_name_gives_a_profile_that_loads(name: str, description: str) -> None:
    listed = [
        draft.Listed("analog-input", 1, name, description, units=62),
        draft.Listed("analog-input", 2, name, description, units=64),
        draft.Listed("accumulator", 3, name, units=9999),
        draft.Listed("multi-state-value", 4, name, states={1: description}),
    ]
    made = parse(draft.profile("x", name, description, listed), "x")
    assert isinstance(made, BacnetProfile)
    assert [measure.object for measure in made.measure] == [one.object for one in listed]


def test_the_command_writes_a_profile_that_loads(tmp_path: Path) -> None:
    (tmp_path / "ahu.csv").write_bytes((TEXT + "k;x;n;0;1;\n").encode("latin-1"))
    (tmp_path / "states.csv").write_text(STATES, encoding="utf-8")
    out = tmp_path / "profiles" / "town-hall.toml"
    words = ["edge", "import-ede", str(tmp_path / "ahu.csv"), "--states", str(tmp_path / "states.csv")]
    result = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "'x' is no device number" in result.output
    text = out.read_text(encoding="utf-8")
    made = parse(text, "town-hall")
    assert [measure.unit for measure in made.measures] == ["°C", "", "", "kWh"]
    assert "1 = Auto, 2 = Hand, 3 = Frost" in text
    assert CliRunner().invoke(app, [*words, "--out", str(out)]).exit_code != 0
    assert "[[measure]]" in CliRunner().invoke(app, words).output


def test_the_command_names_the_devices_when_the_one_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "ahu.csv").write_text(TEXT, encoding="utf-8")
    result = CliRunner().invoke(app, ["edge", "import-ede", str(tmp_path / "ahu.csv"), "--device", "5"])
    assert "there is 4711" in str(result.exception)
