"""Passwords: any characters, long enough, not soon guessed, not known from breaches."""

import os
import time

import pytest
from argon2 import PasswordHasher, extract_parameters
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from hub.access import password

ABOUT_LI = ("li.wei", "Li Wei", "RIVERSIDE", "Riverside Park", "\u6ee8\u6c5f\u56ed\u533a")
STOLEN = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= password.CHARACTERS_MIN]


def test_every_stolen_password_of_the_list_is_refused_however_it_is_capitalised() -> None:
    assert len(STOLEN) > 1_000
    assert [word for word in STOLEN if not password.fault(word)] == []
    assert [word for word in STOLEN[:100] if not password.fault(word.upper())] == []


def test_the_three_thousand_first_words_of_the_list_do_not_become_passwords_by_being_made_longer() -> None:
    first = FREQUENCY_LISTS["passwords"][:3_000]
    longer = [
        word if len(word) >= password.CHARACTERS_MIN else f"{word}1234567890"[: max(10, len(word) + 3)]
        for word in first
    ]
    assert [word for word in longer if not password.fault(word)] == []


@pytest.mark.parametrize(
    "good",
    [
        "correct horse battery",
        "\u5c71\u6c34\u6709\u76f8\u9022 \u5929\u4e0b\u65e0\u4e0d\u6563\u7684\u7b75\u5e2d " * 3 + "\u5b8c",
        "a" + " bag of seven quiet llamas" * 4,
        "!\u00e4\u03a9\U0001f512 \u7535\u8868\u6a02\u6c99 7 qu",
        "lowercaseonlygiraffes",
    ],
)
def test_any_characters_make_a_password_if_only_it_is_hard_to_guess(good: str) -> None:
    assert password.fault(good, ABOUT_LI) == ""


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("short1!Aa", password.LENGTH),
        ("x" * 129, password.LENGTH),
        ("aaaaaaaaaaaaaaaa", password.WEAK),
        ("abcdefghijklmnop", password.WEAK),
        ("qwertyuiopasdfgh", password.WEAK),
        ("password1234", password.WEAK),
        ("li.wei.li.wei", password.WEAK),
        ("riverside2026", password.WEAK),
        ("Riverside-Plantroom-2026", password.WEAK),
        ("plantroom2026!", password.WEAK),
        ("engineer2026!", password.WEAK),
        ("\u6ee8\u6c5f\u56ed\u533a\u6ee8\u6c5f\u56ed\u533a\u6ee8\u6c5f", password.WEAK),
    ],
)
def test_what_somebody_would_try_first_is_refused(bad: str, why: str) -> None:
    assert password.fault(bad, ABOUT_LI) in {why, password.KNOWN}


def test_no_password_keeps_the_judge_busy_for_long() -> None:
    started_s = time.thread_time()
    password.fault("4@8({[<3691!|$57+" * 7)  # each character stands for several letters
    assert time.thread_time() - started_s < 2.0


def test_a_password_is_neither_cut_nor_folded() -> None:
    long = "correct horse battery " * 5 + "staple"
    kept = password._hasher.hash(long.encode())
    assert password.check(kept, long) == (True, None)
    for other in (long[:-1], long.upper(), long + " ", long[: password.CHARACTERS_MAX - 30]):
        assert password.check(kept, other) == (False, None)


def test_a_hash_of_older_parameters_is_made_anew_when_the_password_comes() -> None:
    old = PasswordHasher(time_cost=3, memory_cost=128, parallelism=1).hash("correct horse battery")
    right, renewed = password.check(old, "correct horse battery")
    assert right
    assert renewed is not None
    assert extract_parameters(renewed).memory_cost == password._hasher.memory_cost
    assert password.check(renewed, "correct horse battery") == (True, None)
    assert password.check(old, "wrong horse battery") == (False, None)


def test_the_parameters_are_those_of_owasp_and_half_of_the_cores_stays_free() -> None:
    assert (password.PASSES, password.MEMORY_KIB, password.LANES) == (2, 19 * 1024, 1)
    assert max(1, (os.cpu_count() or 1) // 2) >= password.WORKERS


def test_half_a_character_is_a_wrong_password_and_no_failure() -> None:
    kept = password._hasher.hash(b"correct horse battery")
    assert password.check(kept, "\ud800correct horse battery") == (False, None)
    assert password.check("not a hash", "correct horse battery") == (False, None)
