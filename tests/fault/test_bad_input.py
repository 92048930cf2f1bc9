"""Bad input by file, command line and wire: refused with a sentence and a count, and the rest goes on."""

import asyncio
import random
import re
import resource
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from deploy.broker import Broker
from hub.assets import service as assets
from hub.ingest.acts import HEAD_BYTES
from hub.ingest.commit import Committer
from hub.ingest.counts import Counts
from hub.ingest.directory import POINTS_PER_DEVICE_MAX
from hub.ingest.session import Sessions
from hub.main import HubSettings, run
from hub.store.database import Database
from rules.wire import topics
from rules.wire.sparkplug import DataType, Metric, Payload, encode
from rules.wire.topics import Verb
from tests.builders import ENGINEER, RIVERSIDE, Dsns, Park, site_file
from tests.builders_wire import PretendEdge
from tests.conftest import HUB_PASSWORD
from tests.fault.command_line import CommandLine, Ended, started
from tests.field import device_text, free_port, site_text, write_site
from tests.listening import listening

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
    "table": (f"site = {list(range(999))}\n{TEXT.replace('[site]', '[other]')}", ("other is not a known", "0, 1, 2")),
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
    (["web", "run", "--host", "999.1.1.1"], "Pages would leave this machine in clear from 999.1.1.1: give"),
    (["demo", "--port", "99999"], "PLANTROOM_WEB_PORT"),
    (["demo", "--headless", "--json", "/none/x.json"], "the folder /none does not exist"),
    (["demo", "--headless", "--data", "/dev/null"], "The data directory /dev/null cannot be written"),
    (["readings", "--point", "X", "--from", "bad", "--to", "2026-01-01"], "'bad' is not a time"),
    (["readings", "gaps", "--site", "X", "--from", "2026-01-02", "--to", "2026-01-01"], "lies before --from"),
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


def test_a_port_that_is_taken_is_said_before_anything_starts(plantroom: CommandLine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words in (["demo", "--headless"], ["web", "run"]):
            ended = plantroom(*words, "--port", str(port), "--data", str(tmp_path / "data"))
            in_sentences(ended)
            assert len(ended.said) == 1
            assert f"127.0.0.1:{port} (address already in use)" in ended.err
    assert not (tmp_path / "data").exists()


def test_users_and_readings_that_cannot_be_are_one_sentence(plantroom: CommandLine, served: dict[str, str]) -> None:
    assert plantroom("hub", "register", str(RIVERSIDE), settings=served).code == 0
    asked = ["--from", "2026-01-01", "--to", "2026-01-02"]
    add = ["--organisation", "RIVERSIDE-GROUP", "--role"]
    assert plantroom("user", "add", "li.wei", *add, "engineer", settings=served).code == 0
    for words, sentence in [
        (["readings", "gaps", "--site", "NOPE", *asked], "There is no site 'NOPE'."),
        (["readings", "--point", "NOPE", *asked], "There is no such point 'NOPE'."),
        (["readings", "--point", "X", "--organisation", "NOPE", *asked], "known are: RIVERSIDE-GROUP."),
        (["user", "add", "li.wei", *add, "engineer"], "There is already a user 'li.wei'; choose another name."),
        (["user", "add", "LI.WEI", *add, "billing"], "There is already a user 'LI.WEI'; choose another name."),
        (["user", "add", "wu", *add, "king"], "'king' is not a role; choose one of administrator, manager,"),
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
            "it is not written like postgresql://user@host:5432/database",
        ),
        ("DATABASE_DSN", "{wrong password}", "password authentication failed"),
        ("DATABASE_DSN_FILE", "/none", "The secret file /none cannot be read"),
        ("DATABASE_DSNN", "x", "did you mean PLANTROOM_DATABASE_DSN?"),
        ("BROKER_ADDRESS", "localhost", "'localhost' is not host:port; write it like broker.example:8883."),
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


MAIN = "EM-A-MAIN"
BLOBS = 1_000
MEMORY_KB_MAX = 300_000  # on top of what was there; the queue alone may hold 64 MB


def metric(name: str, value: float | str | None = 1.0, **more: object) -> Metric:
    return Metric(name=name, value=value, **more)  # type: ignore[arg-type]  # as the fields of Metric


def poison(edge: PretendEdge, began: datetime) -> list[tuple[str, bytes, str]]:
    """Topic, payload and what is said of it (empty: nothing has to be); every payload with a ``seq`` uses the next."""
    dice = random.Random(4711)
    topic, node = f"spBv1.0/RIVERSIDE/DDATA/GW-1/{MAIN}", "spBv1.0/RIVERSIDE/{}/GW-1"
    good = edge.data(MAIN, [("power", began, 1.0)], number=1)  # spool number 1: repeated, harmless wherever it is whole
    edge.seq -= 1

    def numbered(*metrics: Metric) -> bytes:
        return edge.data(MAIN, [], extra=metrics).payload

    def at(ms: int) -> Metric:
        return metric("energy", at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))

    def strange(site: str, gateway: str, device: str = MAIN) -> str:
        return f"spBv1.0/{site}/DDATA/{gateway}/{device}"

    bad = [
        (topic, bytes(1_000_000), "payload of 1000000 bytes is above the limit"),
        (topic, good.payload[:-3], "bytes are not a Sparkplug B payload"),
        (topic, b"", "the message has no sequence number"),
        (topic, b"\x12\x04\x0a\x02\xff\xfe\x18\x01", "not UTF-8"),  # one metric, its name two bytes that are no text
        (topic, encode(Payload(None, None, (metric("x"),) * 10_001)), "10001 metrics are above the limit"),
        (f"{topic}/more", good.payload, ""),  # no subscription of the hub's: the broker keeps it
        (strange("NOWHERE", "GW-1"), good.payload, ""),  # nobody born there: its births are asked for
        (strange("RIVERSIDE", "GW-9"), good.payload, ""),
        (node.format("NDEATH"), encode(Payload(None, None, (metric(topics.BD_SEQ, 77, datatype=DataType.INT64),))), ""),
        (topic, numbered(Metric(alias=4711, at=began, value=1.0)), "alias 4711 was not declared at its birth"),
        (topic, numbered(at(4_070_908_800_000)), "2099-01-01 00:00:00 UTC"),
        (topic, numbered(at(1_000)), "1970-01-01 00:00:01 UTC"),
        (topic, numbered(at(0)), "1970-01-01 00:00:00 UTC"),
        (topic, numbered(metric("energy", "many", at=began, datatype=DataType.STRING)), "has the text 'many'"),
        (topic, numbered(metric("energy", float("nan"), at=began + timedelta(minutes=1))), ""),  # stored as missing
        (topic, numbered(metric("energy", float("inf"), at=began + timedelta(minutes=2))), ""),
    ]
    redeclared = [Metric(name=f"invented {n}", alias=1_000 + n) for n in range(5_000)]
    long = edge.message(Verb.DBIRTH, [*redeclared[:9], Metric(name="x" * 100_000)], "EM-A-101")
    bad.append((long.topic, long.payload, "is not 1 to 120 characters"))
    many = edge.message(Verb.DBIRTH, redeclared, "EM-A-101")
    blobs = [(topic, dice.randbytes(dice.randint(1, 400)), "") for _ in range(BLOBS)]  # last: a flood is only counted
    blobs += [(node.format(verb), dice.randbytes(99), "") for verb in ("NBIRTH", "NDEATH", "NDATA")]
    return [*bad, (many.topic, many.payload, ""), *blobs]


async def test_two_devices_cannot_share_a_point_and_the_batch_is_stored_all_the_same(
    database: Database, dsns: Dsns, tmp_path: Path
) -> None:
    path = write_site(tmp_path, site_text(1, device_text("EM-1", 1) + device_text("EM-1.power", 2)))
    file = site_file(path)
    organisation = assets.open_organisation(dsns.owner, file.organisation)
    async with database.transaction(organisation, ENGINEER) as tx:
        await assets.register(tx, file)
    now = datetime.now(UTC).replace(microsecond=0)
    edge = PretendEdge("S1", devices={"EM-1.power": "rs-em3", "EM-1": "rs-em3"})
    births = edge.births()
    number = metric(topics.NUMBER, alias=edge.aliases["EM-1", topics.NUMBER])
    names = [number, metric("power.energy", alias=900), metric("power", alias=901)]
    false = edge.message(Verb.DBIRTH, names, "EM-1")
    said = [Metric(alias=900, at=now, value=66.0), Metric(alias=901, at=now, value=7.0)]
    messages = [*births, false, edge.data("EM-1.power", [("energy", now, 5.0)]), edge.data("EM-1", [], extra=said)]

    async def judge(*_: object) -> None:
        pass

    sessions, committer = Sessions(), Committer(database, judge, Counts(), now)
    outcome = await committer.commit([act for one in messages for act in sessions.take(one, now)], now)
    assert [committed for _, committed in outcome.acknowledge.values()] == [2]
    with psycopg.connect(dsns.owner) as connection:
        stored = connection.execute(
            "SELECT code, value FROM samples JOIN points ON id = point_id ORDER BY 1"
        ).fetchall()
        kind = connection.execute("SELECT kind FROM points WHERE code = 'EM-1.power.energy'").fetchall()
        [(reason,)] = connection.execute("SELECT reason FROM quarantine").fetchall()
    assert stored == [("EM-1.power", 7.0), ("EM-1.power.energy", 5.0)]
    assert kind == [("counter",)]
    assert "'EM-1.power.energy' of device 'EM-1' has the code of a point of another device" in reason


@pytest.fixture
def client(broker: Broker) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2, "test-poisoner", protocol=MQTTProtocolVersion.MQTTv5)
    client.username, client.password = broker.username, broker.password
    client.connect(broker.host, broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


async def holds(true: Callable[[], bool], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110  what is waited for lives in other processes
            await asyncio.sleep(0.05)


async def test_poison_on_the_wire_is_counted_by_reason_while_good_traffic_is_stored(
    park: Park, broker: Broker, client: Client
) -> None:
    edge, began = PretendEdge(devices={MAIN: "rs-em3", "EM-A-101": "rs-em1"}), datetime.now(UTC).replace(microsecond=0)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    settings = HubSettings(park.dsns.hub, broker.host, broker.port, broker.username, broker.password)
    task = asyncio.create_task(run(settings))
    owner = psycopg.connect(park.dsns.owner, autocommit=True)
    good = 0

    def send_good() -> None:
        nonlocal good
        one = edge.data(MAIN, [("energy", began + timedelta(seconds=good), float(good))])
        client.publish(one.topic, one.payload, qos=1)
        good += 1

    def committed() -> int:
        return owner.execute("SELECT committed FROM gateways").fetchall()[0][0]

    try:
        await listening(broker, began)
        for one in edge.births():
            client.publish(one.topic, one.payload, qos=1)
        send_good()
        expected = []
        for count, (topic, payload, said) in enumerate(poison(edge, began)):
            client.publish(topic, payload, qos=1)
            expected += [said] if said else []
            if count > 50 and count % 50 == 0:  # amid the blobs: what comes before them is in its edge's sequence
                send_good()
                await asyncio.sleep(0.02)
        for _ in range(30):
            send_good()
        last = edge.number
        await holds(lambda: committed() == last)
        reasons = [reason for (reason,) in owner.execute("SELECT reason FROM quarantine ORDER BY id").fetchall()]
        heads = owner.execute("SELECT max(length(payload)) FROM quarantine").fetchall()
        stored = owner.execute("SELECT count(*), count(value) FROM samples").fetchall()
        points = owner.execute("SELECT count(*) FROM points WHERE measure LIKE 'invented%'").fetchall()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        owner.close()
    missing = [said for said in expected if not any(said in reason for reason in reasons)]
    assert missing == []
    assert stored == [(good + 2, good)]
    assert heads == [(HEAD_BYTES,)]
    assert points[0][0] <= POINTS_PER_DEVICE_MAX
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < MEMORY_KB_MAX
