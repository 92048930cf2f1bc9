"""Back-off: more wrong guesses never wait less, nobody waits for ever, a few mistakes cost nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.access import backoff
from hub.access.backoff import ACCOUNT, ADDRESS, CODES, PLACE, RESETS, Patience

ALL = (PLACE, ACCOUNT, ADDRESS, CODES, RESETS)
patience = st.sampled_from(ALL)
failures = st.integers(0, 10**6)


@given(patience, failures, failures)
def test_more_wrong_guesses_never_wait_less(kind: Patience, one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    assert kind.wait(fewer) <= kind.wait(more)


@given(patience, failures)
def test_nobody_waits_longer_than_the_most_nor_shorter_than_the_first(kind: Patience, count: int) -> None:
    wait = kind.wait(count)
    assert wait <= kind.most
    assert bool(wait) == (count > kind.free)
    assert not wait or wait >= kind.first


@given(patience, st.integers(0, 30))
def test_each_wrong_guess_beyond_doubles_the_wait_up_to_the_most(kind: Patience, beyond: int) -> None:
    one, next_one = kind.wait(kind.free + 1 + beyond), kind.wait(kind.free + 2 + beyond)
    assert next_one == min(2 * one, kind.most)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_the_addresses_of_one_ipv6_customer_count_as_one(address: object, host: int) -> None:
    number = int(address) >> 64 << 64 | host  # type: ignore[call-overload]
    neighbour = type(address)(number)  # type: ignore[call-arg]
    if getattr(neighbour, "ipv4_mapped", None) is None and getattr(address, "ipv4_mapped", None) is None:
        assert backoff.neighbourhood(str(address)) == backoff.neighbourhood(str(neighbour))


@pytest.mark.parametrize("kind", ALL)
def test_a_guesser_gets_few_guesses_a_day(kind: Patience) -> None:
    a_day = sum(1 for _ in range(24 * 60 * 60 // int(kind.most.total_seconds())))
    assert kind.free + a_day + 24 * 60 * 60 // int(kind.forgiven_every.total_seconds()) < 1_000


def test_an_account_at_a_browser_it_knows_is_counted_for_itself_alone() -> None:
    strange = backoff.counts("password", "li.wei", "192.0.2.1", None)
    known = backoff.counts("password", "li.wei", "192.0.2.1", b"number")
    assert not {count.key for count in strange} & {count.key for count in known}
    assert [count.patience for count in strange] == [PLACE, ACCOUNT, ADDRESS]
    assert [count.patience for count in known] == [PLACE]
