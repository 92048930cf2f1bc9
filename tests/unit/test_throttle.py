"""Who asks too often waits; who keeps to the rate does not; nothing grows without end."""

import logging

import pytest

from hub.access.backoff import neighbourhood
from web import throttle
from web.throttle import Buckets, Places, Rate


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    buckets = Buckets(Rate(per_minute=60, burst=3))
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    assert buckets.take("a", 0.5) == 0.5
    assert buckets.take("a", 1.0) == 0.0
    assert buckets.take("a", 1.0) == 1.0


def test_a_long_rest_fills_no_more_than_the_burst() -> None:
    buckets = Buckets(Rate(per_minute=60, burst=2))
    assert buckets.take("a", 0.0) == 0.0
    assert [buckets.take("a", 9_999.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_one_address_does_not_use_up_what_is_anothers() -> None:
    buckets = Buckets(Rate(per_minute=60, burst=1))
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0.0


def test_what_is_given_back_can_be_taken_again_but_never_piles_up() -> None:
    buckets = Buckets(Rate(per_minute=60, burst=1))
    buckets.take("a", 0.0)
    buckets.give_back("a", 0.0)
    buckets.give_back("a", 0.0)
    assert [buckets.take("a", 0.0) for _ in range(2)] == [0.0, 1.0]


def test_the_oldest_address_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "BUCKETS_MAX", 3)
    buckets = Buckets(Rate(per_minute=60, burst=1))
    for who in "abcabd":
        buckets.take(who, 0.0)
    assert len(buckets) == 3
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("c", 0.0) == 0.0


def test_a_flood_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    buckets = Buckets(Rate(per_minute=60, burst=1))
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            buckets.take("a", 0.0)
    assert caplog.messages == ["too many requests from a"]


def test_places_are_given_up_to_the_limit_and_come_back() -> None:
    places = Places(2)
    with places.hold("a") as first, places.hold("a") as second, places.hold("a") as third, places.hold("b") as other:
        assert (first, second, third, other) == (True, True, False, True)
    with places.hold("a") as again:
        assert again


@pytest.mark.parametrize(
    ("host", "stands_for"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
        ("x" * 10_000, "x" * 64),
    ],
)
def test_an_ipv6_customer_is_one_address(host: str, stands_for: str) -> None:
    assert neighbourhood(host) == stands_for
