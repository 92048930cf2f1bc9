"""Mails: written with the act, sent once each, encrypted, and nothing slipped into their heads."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from deploy.mail import check
from deploy.mail import office as office_of
from deploy.settings import Settings, SettingsError
from hub.errors import InvalidError, UnavailableError
from hub.jobs.service import Work
from hub.notify import service as notify
from hub.notify.post import Envelope, Folder, InvalidServerError, OfficeClosedError, Server, server
from hub.notify.rows import Letter, Recipient, Waiting
from hub.store.database import Database, Role
from rules.detect.book import RuleBook
from tests.builders import Park, acting
from tests.posting import PASSWORD, USER, certificate, postbox

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
ENVELOPE = Envelope("plantroom@example.com", "https://plantroom.example.com")
LETTER = Letter("\u5f85\u60a8\u5ba1\u6279", "For your approval", "\u4f60\u597d", "Hello", "/approvals/7?token=secret")
ANN = Recipient("ann@example.com", "en")


async def write(database: Database, park: Park, *to: Recipient, letter: Letter = LETTER, now: datetime = NOW) -> None:
    async with database.transaction(park.organisation, acting("test", "manager")) as tx:
        for one in to:
            await notify.mail(tx, one, letter, now)


async def recent(database: Database, park: Park) -> list[tuple[str, str, int]]:
    """What became of each mail: 'sent', 'given up' or 'waits', the last error, the attempts."""
    async with database.transaction(park.organisation, acting("test", "manager")) as tx:
        found = sorted(await notify.recent(tx), key=lambda one: one.address)
    return [
        ("sent" if one.sent_at else "given up" if one.given_up_at else "waits", one.last_error, one.attempts)
        for one in found
    ]


def office(port: int, **more: object) -> Server:
    return replace(server(f"smtp://127.0.0.1:{port}", "", ENVELOPE), **more)  # type: ignore[arg-type]


async def test_a_mail_goes_once_in_the_language_of_its_reader(database: Database, park: Park) -> None:
    await write(database, park, ANN, Recipient("bo@example.com", "zh"))
    with postbox() as box:
        assert await notify.send_due(database, office(box.port), NOW) == 2
        assert await notify.send_due(database, office(box.port), NOW + timedelta(days=1)) == 0
        assert box.connections == 1
    english, chinese = sorted(box.mails, key=lambda one: str(one["To"]))
    assert (english["Subject"], english["From"]) == ("For your approval", "plantroom@example.com")
    assert english.get_content().split() == ["Hello", "Open:", "https://plantroom.example.com/approvals/7?token=secret"]
    assert (chinese["Subject"], chinese["Content-Language"]) == (LETTER.subject_zh, "zh-CN")
    assert chinese.get_content().split()[1].startswith("\u6253\u5f00\uff1ahttps://")
    assert english["Auto-Submitted"] == "auto-generated"
    assert english["Message-ID"] != chinese["Message-ID"]
    assert await recent(database, park) == [("sent", "", 1)] * 2


async def test_nobody_but_the_sender_reads_a_body_and_it_goes_with_the_mail(database: Database, park: Park) -> None:
    await write(database, park, ANN)
    for column in ("body", "path", "*"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
                await tx.value(f"SELECT {column} FROM mails".encode())
    with postbox() as box:
        await notify.send_due(database, office(box.port), NOW)
    with psycopg.connect(park.dsns.owner) as owner:
        assert owner.execute("SELECT body, path FROM mails").fetchall() == [(None, None)]


async def test_an_act_that_fails_sends_nothing(database: Database, park: Park) -> None:
    with pytest.raises(InvalidError):
        await write(database, park, ANN, Recipient("not an address", "en"))
    assert await recent(database, park) == []


@pytest.mark.parametrize(
    "address",
    ["", "a@", "@b", "a b@c", "a@b\r\nBcc: x@y.z", "a@b,c@d", "<a@b>", "a@b>", "a\x00@b", "\uff41@b", "a@b\u3002c",
     "a@" + "b" * 300],
)  # fmt: skip
async def test_only_one_plain_address_is_written_to(database: Database, park: Park, address: str) -> None:
    with pytest.raises(InvalidError, match="not a mail address"):
        await write(database, park, Recipient(address, "en"))


async def test_nothing_is_slipped_into_the_head(database: Database, park: Park) -> None:
    slipped = "Hi\r\nBcc: spy@example.com\r\n\r\nother body \u2028\x00" + "x" * 300
    await write(database, park, ANN, letter=replace(LETTER, subject_en=slipped.replace("\x00", "")))
    with postbox() as box:
        await notify.send_due(database, office(box.port), NOW)
        one = Waiting(uuid4(), "a@b", "en", "Hi\r\nBcc: spy@b", "body", None, NOW, 1)
        (refused,) = office(box.port).send([one])
    assert refused is not None
    assert refused.final
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert mail["To"] == "ann@example.com"
    assert mail["Subject"].startswith("Hi Bcc: spy@example.com other body xxx")
    assert len(mail["Subject"]) <= notify.SUBJECT_CHARACTERS_MAX
    assert mail.get_content().startswith("Hello")


async def test_a_link_stays_inside(database: Database, park: Park) -> None:
    with pytest.raises(InvalidError, match="begin its path"):
        await write(database, park, ANN, letter=replace(LETTER, path="https://elsewhere.example.com"))


async def test_who_does_not_exist_is_given_up_at_once_and_the_others_go(database: Database, park: Park) -> None:
    await write(database, park, ANN, Recipient("gone@example.com", "en"), Recipient("zoe@example.com", "en"))
    with postbox() as box:
        box.refused.add("gone@example.com")
        assert await notify.send_due(database, office(box.port), NOW) == 2
    assert await recent(database, park) == [("sent", "", 1), ("given up", "550 5.1.1 no such user", 1), ("sent", "", 1)]


async def test_a_busy_server_is_tried_again_later_and_later_and_given_up_in_the_end(
    database: Database, park: Park
) -> None:
    await write(database, park, ANN)
    now, waits = NOW, []
    with postbox() as box:
        box.answers += ["451 4.3.0 later"] * 100
        for attempt in range(1, notify.ATTEMPTS_MAX + 1):
            assert await notify.send_due(database, office(box.port), now - timedelta(seconds=1)) == 0  # not yet
            assert len(box.answers) == 101 - attempt
            assert await notify.send_due(database, office(box.port), now) == 0
            with psycopg.connect(park.dsns.owner) as owner:
                (due,) = owner.execute("SELECT due_at FROM mails").fetchone() or ()
            waits.append(due - now)
            now = due
        assert await notify.send_due(database, office(box.port), now + timedelta(days=9)) == 0
        assert len(box.answers) == 100 - notify.ATTEMPTS_MAX
    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert max(waits) == notify.LONGEST_WAIT
    assert await recent(database, park) == [("given up", "451 4.3.0 later", notify.ATTEMPTS_MAX)]


async def test_a_server_that_hangs_up_loses_no_mail(database: Database, park: Park) -> None:
    await write(database, park, ANN, Recipient("bo@example.com", "en"))
    with postbox() as box:
        box.hang_up = True
        assert await notify.send_due(database, office(box.port), NOW) == 0
        box.hang_up = False
        assert await notify.send_due(database, office(box.port), NOW + timedelta(minutes=1)) == 2
        assert len(box.mails) == 2
    port = box.port
    await write(database, park, ANN, now=NOW + timedelta(hours=1))
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port} cannot be used"):
        await notify.send_due(database, office(port), NOW + timedelta(hours=1))
    assert max(await recent(database, park))[0] == "waits"


async def test_a_sender_that_died_is_followed_by_another(database: Database, park: Park) -> None:
    await write(database, park, ANN)
    async with database.transaction(None, notify.ACTOR, Role.POST) as tx:
        asked = {"now": NOW, "until": NOW + notify.CLAIM, "most": 5}
        assert len(await tx.all(Waiting, notify.SQL["claim"], asked)) == 1
    with postbox() as box:
        assert await notify.send_due(database, office(box.port), NOW + timedelta(minutes=1)) == 0
        assert await notify.send_due(database, office(box.port), NOW + notify.CLAIM) == 1


async def test_two_senders_share_the_work(database: Database, park: Park) -> None:
    await write(database, park, *(Recipient(f"a{n}@example.com", "en") for n in range(30)))
    with postbox() as box:
        one, two = office(box.port), office(box.port)
        sent = [await notify.send_due(database, one, NOW), await notify.send_due(database, two, NOW)]
    assert sent == [notify.BATCH, 10]
    assert len({str(mail["To"]) for mail in box.mails}) == 30


async def test_a_password_travels_encrypted_only(database: Database, park: Park, tmp_path: Path) -> None:
    ours, trusting = certificate(tmp_path)
    await write(database, park, ANN)
    with postbox(ours, sign_in=True) as box:
        wrong = office(box.port, context=trusting, user=USER, password="wrong")
        with pytest.raises(UnavailableError, match="does not accept the user or password"):
            await notify.send_due(database, wrong, NOW)
        right = office(box.port, context=trusting, user=USER, password=PASSWORD)
        assert await notify.send_due(database, right, NOW + timedelta(hours=1)) == 1
        assert (box.encrypted, set(box.users)) == ([True], {USER})
    assert PASSWORD not in repr(right)
    assert server(f"smtp://{USER.replace('@', '%40')}@h", PASSWORD, ENVELOPE).user == USER


def one_mail() -> Waiting:
    return Waiting(uuid4(), "ann@example.com", "en", "Hi", "Hello", None, NOW, 1)


def test_tls_from_the_start(tmp_path: Path) -> None:
    ours, trusting = certificate(tmp_path)
    with postbox(ours, implicit=True) as box:
        made = server(f"smtps://127.0.0.1:{box.port}", "", ENVELOPE)
        assert replace(made, context=trusting).send([one_mail()]) == [None]
        assert len(box.mails) == 1
        with pytest.raises(OfficeClosedError, match="CERTIFICATE_VERIFY_FAILED"):
            made.send([one_mail()])  # its certificate is nobody's that we trust


def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    ours, trusting = certificate(tmp_path, "mail.elsewhere.example")
    with postbox(ours) as box, pytest.raises(OfficeClosedError, match="cannot be used"):
        office(box.port, context=trusting).send([one_mail()])
    assert box.mails == []


def test_a_server_elsewhere_without_tls_is_not_used() -> None:
    with postbox(host="127.0.0.2") as box, pytest.raises(OfficeClosedError, match="does not offer STARTTLS"):
        office(box.port, host="127.0.0.2").send([one_mail()])  # not one of the names of this machine
    assert box.mails == []


@pytest.mark.parametrize(
    ("address", "password", "said"),
    [
        ("mail.example.com:25", "", "is written like"),
        ("http://mail.example.com", "", "is written like"),
        ("smtp://", "", "is written like"),
        ("smtp://h:99999", "", "is written like"),
        ("smtp://u:p@h", "", "is written like"),
        ("smtp://h/path", "", "is written like"),
        ("smtp://u@h", "", "a user and a password"),
        ("smtp://h", "secret", "a user and a password"),
    ],
)
def test_a_server_is_named_as_settings_say(address: str, password: str, said: str) -> None:
    with pytest.raises(InvalidServerError, match=said) as refused:
        server(address, password, ENVELOPE)
    assert "secret" not in str(refused.value)
    with pytest.raises(InvalidServerError, match="sender's address"):
        server("smtp://h", "", Envelope("nobody"))
    assert (server("smtp://h", "", ENVELOPE).port, server("smtps://h", "", ENVELOPE).port) == (587, 465)


async def test_without_a_server_mails_are_files_of_the_program_alone(
    database: Database, park: Park, tmp_path: Path
) -> None:
    await write(database, park, ANN)
    folder = Folder(tmp_path / "mails", Envelope("plantroom@localhost"))
    assert await notify.send_due(database, folder, NOW) == 1
    (file,) = (tmp_path / "mails").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    text = file.read_text("ascii")
    assert "Subject: For your approval" in text
    assert "https://" not in text  # no public address, no link
    blocked = Folder(file / "below", ENVELOPE)
    with pytest.raises(OfficeClosedError, match="cannot be made"):
        blocked.send([one_mail()])


async def test_what_became_of_old_mails_is_forgotten_and_what_waits_is_kept(database: Database, park: Park) -> None:
    await write(database, park, ANN)
    with postbox() as box:
        await notify.send_due(database, office(box.port), NOW)
    await write(database, park, Recipient("bo@example.com", "en"))
    await notify.drop_old(database, NOW + notify.KEPT)
    assert len(await recent(database, park)) == 2
    await notify.drop_old(database, NOW + notify.KEPT + timedelta(seconds=1))
    assert await recent(database, park) == [("waits", "", 0)]


async def test_the_door_writes_mails_and_reads_none(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, role=Role.DOOR) as tx:
        await notify.mail(tx, ANN, LETTER, NOW)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await notify.recent(tx)


def settings(tmp_path: Path, **more: str) -> Settings:
    return Settings(data=tmp_path, **more)  # type: ignore[arg-type]


def test_the_doctor_says_where_mails_go(tmp_path: Path) -> None:
    without = check(settings(tmp_path))
    assert (without.ok, without.needed) == (False, False)
    assert f"mails are files in {tmp_path / 'mails'}" in without.sentence()
    with postbox() as box:
        where = {"mail_server": f"smtp://127.0.0.1:{box.port}", "mail_from": "plantroom@example.com"}
        assert check(settings(tmp_path, **where)).sentence() == f"Mail: 127.0.0.1:{box.port}, without links."
        public = check(settings(tmp_path, public_address="https://plantroom.example.com", **where))
        assert public.sentence().endswith("links begin with https://plantroom.example.com.")
    gone = check(settings(tmp_path, **where))
    assert (gone.ok, gone.needed) == (False, True)
    assert "cannot be used" in gone.sentence()


@pytest.mark.parametrize(
    "wrong",
    [
        {"mail_server": "mail.example.com"},
        {"mail_server": "smtp://mail.example.com"},  # no sender
        {"mail_server": "smtp://user@mail.example.com", "mail_from": "a@b.example"},  # no password
    ],
)
def test_a_mail_server_that_is_wrongly_set_is_one_sentence(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^PLANTROOM_MAIL_SERVER, PLANTROOM_MAIL_PASSWORD and"):
        office_of(settings(tmp_path, **wrong))
    assert check(settings(tmp_path, **wrong)).found == "wrongly set"


def test_the_password_of_the_mail_server_comes_from_a_file_and_shows_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "mail-password"
    file.write_text("only for these tests\n")
    file.chmod(0o600)
    where = {"mail_server": "smtps://user@mail.example.com", "mail_from": "a@b.example"}
    made = office_of(settings(tmp_path, mail_password_file=str(file), **where))
    assert isinstance(made, Server)
    assert (made.password, made.port) == ("only for these tests", 465)
    assert "only for" not in repr(made)


async def test_the_jobs_send_what_waits(database: Database, park: Park) -> None:
    await write(database, park, *(Recipient(f"a{n}@example.com", "en") for n in range(notify.BATCH + 5)))
    with postbox() as box:
        work = Work(database, RuleBook(()), lambda now: now, office=office(box.port))
        await next(job for job in work.jobs() if job.name == "mails").work(NOW)
        assert len(box.mails) == notify.BATCH + 5
    silent = Work(database, RuleBook(()), lambda now: now)
    for job in silent.jobs():
        if job.name in ("mails", "old mails", "approvals that wait"):
            await job.work(NOW)
