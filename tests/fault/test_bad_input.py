"""Bad input by file, command line and wire: refused with a sentence and a count, and the rest goes on."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import RIVERSIDE, Dsns
from tests.conftest import HUB_PASSWORD
from tests.fault.command_line import CommandLine, Ended, started
from tests.field import device_text, free_port, site_text

pytestmark = pytest.mark.fault
TEXT = RIVERSIDE.read_text("utf-8")

BAD_FILES: dict[str, tuple[str | bytes | None, tuple[str, ...]]] = {  # name -> what it holds, what is said of it
    "missing": (None, ("does not exist; give the path of a site file.",)),
    "bytes": (b"\xff\xfe\x00", ("is not UTF-8 text (byte 0).",)),
    "syntax": ("x = [", ("is not valid TOML: Invalid value (at end of document).",)),
    "nothing": (
        "",
        ("organisation is missing; add it.", "site is missing; add it.", "building is missing; add it."),
    ),
    "type": (TEXT.replace("poll_s = ", 'poll_s = "fast" #', 1), ("line 'LINE-A' poll_s: input should be",)),
    "key": (
        TEXT.replace("[[device]]", "[[device]]\nadress = 3", 1),
        ("device 'EM-A-MAIN' adress is not a known key; remove it or correct its spelling.",),
    ),
    "twice": (
        re.sub(r"address = 2\b", "address = 1", TEXT, count=1),
        ("has address 1 on line 'LINE-A', which 'EM-A-MAIN' already has; give each its own address.",),
    ),
    "profile": (TEXT.replace('"rs-em3"', '"rs-em9"', 2), ("'EM-A-MAIN': there is no profile 'rs-em9'", "'EM-A-F1'")),
    "unit": (
        TEXT.replace("[[device]]", '[[device]]\nunits = {energy = "m³"}', 1),
        ("'EM-A-MAIN' energy: the site says 'm³', but the meter has 'kWh'; correct the unit.",),
    ),
    "port": (re.sub(r"port = \d+", "port = 99999", TEXT, count=1), ("line 'LINE-A' port: input should be less",)),
    "table": (f"site = {list(range(999))}\n{TEXT.replace('[site]', '[other]')}", ("0, 1, 2", "other is not a known")),
}


@pytest.fixture(scope="module")
def plantroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with started(tmp_path_factory.mktemp("command-line")) as line:
        yield line


def in_sentences(ended: Ended) -> None:
    """A failure: a code, whole sentences on stderr, nothing of Python's."""
    assert ended.code != 0
    assert "Traceback" not in ended.out + ended.err
    assert all(line.endswith((".", "?")) for line in ended.said), ended.err


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_site_file_is_refused_by_every_command_with_one_sentence_a_problem(
    plantroom: CommandLine, kind: str
) -> None:
    held, sentences = BAD_FILES[kind]
    path = plantroom.folder / f"{kind}.toml"
    if held is not None:
        path.write_bytes(held if isinstance(held, bytes) else held.encode())
    for words in (["edge", "check"], ["edge", "read"], ["edge", "run"], ["hub", "register"], ["sim", "run"]):
        ended = plantroom(*words, str(path))
        in_sentences(ended)
        assert [sentence in said for said, sentence in zip(ended.said, sentences, strict=True)] == [True] * len(
            sentences
        ), ended.err
        assert max(map(len, ended.said)) < 400


def test_a_folder_is_no_site_file(plantroom: CommandLine) -> None:
    ended = plantroom("edge", "check", str(plantroom.folder))
    in_sentences(ended)
    assert ended.said == [f"{plantroom.folder} cannot be read: Is a directory."]


def test_debug_shows_where_and_nothing_else_does(plantroom: CommandLine) -> None:
    ended = plantroom("--debug", "edge", "read", "none.toml")
    assert "Traceback" in ended.err
    assert ended.code == 1


def test_a_device_that_does_not_answer_is_named_by_edge_check(plantroom: CommandLine, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(site_text(free_port(), device_text("EM-1", 1) + device_text("EM-2", 2)), "utf-8")
    ended = plantroom("edge", "check", str(site))
    in_sentences(ended)
    assert [said.split(":")[0] for said in ended.said] == [
        "device 'EM-1' is unreachable",
        "device 'EM-2' is unreachable",
    ]
    assert "2 devices" in ended.out


NONSENSE = [
    (["nonsense"], "No such command 'nonsense'"),
    (["edge", "nonsense"], "No such command 'nonsense'"),
    (["edge", "run"], "Missing argument 'SITE'"),
    (["edge", "run", str(RIVERSIDE), "--gateway", "X"], "has no gateway 'X' (there is 'GW-1')"),
    (["edge", "run", str(RIVERSIDE), "--backfill", "none.csv"], "none.csv cannot be read: No such file"),
    (["hub", "run", "--rules", "none.yaml"], "none.yaml: the rule file cannot be read"),
    (["hub", "run", "--nonsense"], "No such option"),
    (["sim", "run", str(RIVERSIDE), "--seed", "x"], "Invalid value for '--seed'"),
    (["sim", "run", str(RIVERSIDE), "--control-port", "99999"], "Invalid value for '--control-port'"),
    (["sim", "run", str(RIVERSIDE), "--faults", "none.toml"], "faults file none.toml cannot be read"),
    (["sim", "run", str(RIVERSIDE), "--truth", "/none/x"], "truth log /none/x cannot be written"),
    (["sim", "history", str(RIVERSIDE), "--out", "/none/x", "--days", "1"], "/none/x.part: no such file or directory"),
    (["web", "run", "--port", "0"], "PLANTROOM_WEB_PORT"),
    (["demo", "--port", "99999"], "PLANTROOM_WEB_PORT"),
    (["demo", "--headless", "--data", "/dev/null"], "The data directory /dev/null cannot be written"),
    (["readings", "--point", "X", "--from", "bad", "--to", "2026-01-01"], "'bad' is not a time"),
    (["readings", "--point", "X", "--from", "2026-01-02", "--to", "2026-01-01"], "lies before --from"),
    (["readings", "--point", "X", "--from", "2026-01-01", "--to", "2026-01-02", "--format", "x"], "'--format'"),
    (["user", "add", "x"], "Missing option"),
]


@pytest.fixture
def served(dsns: Dsns, tmp_path: Path) -> dict[str, str]:
    """Settings of a command that finds the test's database."""
    (tmp_path / "hub-password").write_text(HUB_PASSWORD)
    return {
        "PLANTROOM_DATABASE_DSN": dsns.owner,
        "PLANTROOM_DATA": str(tmp_path),
        "PLANTROOM_BROKER_ADDRESS": f"127.0.0.1:{free_port()}",
    }


def test_a_nonsense_command_line_is_one_sentence(plantroom: CommandLine, served: dict[str, str]) -> None:
    for words, sentence in NONSENSE:
        ended = plantroom(*words, settings=served)
        in_sentences(ended)
        last = ended.said[-1]
        assert sentence in last, f"{words}: {ended.err}"
        assert last.startswith("plantroom: ")


def test_users_and_readings_that_cannot_be_are_one_sentence(plantroom: CommandLine, served: dict[str, str]) -> None:
    assert plantroom("hub", "register", str(RIVERSIDE), settings=served).code == 0
    asked = ["--from", "2026-01-01", "--to", "2026-01-02"]
    add = ["--organisation", "RIVERSIDE-GROUP", "--role"]
    assert plantroom("user", "add", "li.wei", *add, "engineer", settings=served).code == 0
    for words, sentence in [
        (["readings", "--point", "NOPE", *asked], "There is no such point 'NOPE'."),
        (["readings", "--point", "X", "--organisation", "NOPE", *asked], "known are: RIVERSIDE-GROUP."),
        (["user", "add", "li.wei", *add, "engineer"], "There is already a user 'li.wei'; choose another name."),
        (["user", "add", "LI.WEI", *add, "billing"], "There is already a user 'LI.WEI'; choose another name."),
        (["user", "add", "wu", *add, "king"], "'king' is not a role; choose one of administrator, engineer,"),
        (["user", "add", "wu", *add, "tenant"], "belongs to a tenant"),
        (["user", "add", "wu", *add, "tenant", "--tenant", "NOPE"], "There is no tenant 'NOPE'."),
        (["user", "add", "x" * 65, *add, "engineer"], "a login has 2 to 64 characters"),
        (["user", "add", "wu", "--role", "engineer", "--organisation", "NOPE"], "known are: RIVERSIDE-GROUP."),
    ]:
        ended = plantroom(*words, settings=served)
        in_sentences(ended)
        assert len(ended.said) == 1
        assert sentence in ended.err


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        (
            "DATABASE_DSN",
            "postgres://a:p%zz@@:::",
            "it is not written like postgresql://user:password@host:5432/database",
        ),
        ("DATABASE_DSN", "{wrong password}", "password authentication failed"),
        ("DATABASE_DSN_FILE", "/none", "The secret file /none cannot be read"),
        ("DATABASE_DSNN", "x", "did you mean PLANTROOM_DATABASE_DSN?"),
        ("BROKER_ADDRESS", "localhost", "'localhost' is not host:port; write it like broker.example:1883."),
        ("DATA", "/dev/null", "/dev/null"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_shows_no_secret(
    plantroom: CommandLine, schema: Dsns, setting: str, value: str, sentence: str
) -> None:
    wrong = re.sub(r"password=\S+", "password=geheim", schema.owner)
    ended = plantroom("hub", "run", settings={f"PLANTROOM_{setting}": value.replace("{wrong password}", wrong)})
    in_sentences(ended)
    assert len(ended.said) == 1, ended.err
    assert sentence in ended.err
    assert "geheim" not in ended.err
    assert "zz" not in ended.err


def test_the_doctor_says_what_is_broken_and_what_to_do(plantroom: CommandLine) -> None:
    ended = plantroom(
        "doctor",
        settings={
            "PLANTROOM_DATA": "/dev/null",
            "PLANTROOM_DATABASE_DSN": "postgresql://a:geheim@127.0.0.1:1/x",
            "PLANTROOM_BROKER_ADDRESS": "127.0.0.1:1",
        },
    )
    missing = [line for line in ended.out.splitlines() if line.startswith("missing")]
    assert ended.code == 1
    assert "Traceback" not in ended.out + ended.err
    assert len(missing) >= 3
    assert "geheim" not in ended.out
