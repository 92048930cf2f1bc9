"""The journal of commands keeps what it must for as long as it must, and no longer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent import journal as page
from edge_agent.journal import KEEP_HEARD, KEEP_UNHEARD, Entry, Journal, JournalError
from rules.control.command import Answer, Command, Outcome

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


def command(number: str, point: str = "A.x") -> Command:
    return Command(number, point, 1.0, NOW, NOW + timedelta(minutes=1), "li.wei")


def test_what_was_begun_is_unfinished_until_it_has_an_answer_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "commands.sqlite"
    journal = Journal(path, NOW)
    journal.begin(command("1"), NOW)
    journal.close()
    journal = Journal(path, NOW)
    assert journal.unfinished() == [Entry("1", "A.x", None)]
    answer = Answer("1", Outcome.DONE, NOW, 1.0, "why")
    journal.finish(answer)
    journal.close()
    journal = Journal(path, NOW)
    assert (journal.unfinished(), journal.unheard()) == ([], [answer])
    journal.heard(["1", "unknown"])
    assert (journal.unheard(), journal.find("1")) == ([], Entry("1", "A.x", answer))
    assert journal.find("2") is None


def test_a_refusal_does_not_count_as_a_setting(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "commands.sqlite", NOW)
    journal.refuse(command("1"), Answer("1", Outcome.REFUSED, NOW, reason="no"))
    assert journal.last_set("A.x") is None
    journal.begin(command("2"), NOW)
    assert journal.last_set("A.x") == NOW


def test_heard_answers_are_forgotten_sooner_than_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "commands.sqlite", NOW)
    for number in ("heard", "not heard"):
        journal.refuse(command(number), Answer(number, Outcome.REFUSED, NOW))
    journal.heard(["heard"])
    journal.begin(command("3"), NOW + KEEP_HEARD)
    assert journal.find("heard") is not None
    journal.begin(command("4"), NOW + KEEP_HEARD + timedelta(seconds=1))
    assert journal.find("heard") is None
    assert journal.find("not heard") is not None
    journal.begin(command("5"), NOW + KEEP_UNHEARD + timedelta(seconds=1))
    assert journal.find("not heard") is None


def test_a_full_journal_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "ENTRIES_MAX", 1)
    journal = Journal(tmp_path / "commands.sqlite", NOW)
    journal.begin(command("1"), NOW)
    with pytest.raises(JournalError, match="remembers 1 commands already"):
        journal.begin(command("2"), NOW)


def test_a_damaged_journal_is_kept_aside_and_the_new_one_says_since_when_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "commands.sqlite"
    path.write_bytes(b"no database" * 1000)
    journal = Journal(path, NOW)
    journal.close()
    assert Journal(path, NOW + timedelta(days=1)).born_at == NOW
    assert len(list(tmp_path.glob("commands.sqlite.damaged-*"))) == 1


def test_a_folder_that_cannot_be_used_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="check the folder"):
        Journal(tmp_path / "file" / "commands.sqlite", NOW)


def test_a_journal_on_a_disk_that_takes_nothing_lets_no_command_begin() -> None:
    journal = Journal.refusing(NOW)
    with pytest.raises(JournalError, match="cannot be written"):
        journal.begin(command("1"), NOW)
    assert journal.find("1") is None
    journal.close()
