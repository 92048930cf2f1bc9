"""A gateway's certificate and key: asked for in time, taken only when right, never left in halves."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from edge_agent import renewal as edge_renewal
from edge_agent.identity import Identity, IdentityError, Request, key_pem, new_key
from edge_agent.renewal import Renewal
from hub.assets.authority import Authority, establish, open_request
from hub.errors import ForbiddenError, InvalidError
from hub.ingest.acts import Address, RenewalAsked, Speaker
from hub.ingest.renewal import holder
from rules.wire import topics
from rules.wire.sparkplug import Payload, decode, encode

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
DUE = NOW + timedelta(days=61)
AUTHORITY = establish(NOW)
NAME = "RIVERSIDE/GW-1"


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@pytest.fixture
def own(tmp_path: Path) -> Identity:
    key = new_key()
    own = Identity(NAME, tmp_path / "ca.pem", tmp_path / "certificate.pem", tmp_path / "key.pem")
    own.ca.write_text(pem(AUTHORITY.certificate))
    own.certificate.write_text(pem(AUTHORITY.gateway(key.public_key(), "RIVERSIDE", "GW-1", NOW)))
    own.key.write_bytes(key_pem(key))
    return own


def answer(request: Request, now: datetime, name: tuple[str, str] = ("RIVERSIDE", "GW-1"),
           authority: Authority = AUTHORITY) -> str:  # fmt: skip
    return pem(authority.gateway(open_request(request.request.encode())[1], *name, now))


def fits(own: Identity) -> bool:
    """Whether key and certificate belong together."""
    certificate = x509.load_pem_x509_certificate(own.certificate.read_bytes())
    key = load_pem_private_key(own.key.read_bytes(), None)
    return key.public_key() == certificate.public_key()


def leftovers(own: Identity) -> list[str]:
    return sorted(path.name for path in own.key.parent.iterdir() if path.suffix in (".next", ".part"))


def test_a_new_certificate_is_taken_into_use_with_its_key(own: Identity) -> None:
    request = own.request()
    assert own.accept(answer(request, DUE), DUE) == DUE + timedelta(days=90)
    assert fits(own)
    assert leftovers(own) == []
    assert own.held(DUE).not_valid_after_utc == DUE + timedelta(days=90)
    assert stat.S_IMODE(own.key.stat().st_mode) == 0o600


def test_asking_again_asks_for_the_same_key(own: Identity) -> None:
    keys = {open_request(own.request().request.encode())[1].public_numbers() for _ in range(3)}
    assert len(keys) == 1
    assert stat.S_IMODE(own.key.with_name("key.pem.next").stat().st_mode) == 0o600
    assert fits(own)


@pytest.mark.parametrize("moment", ["asked", "answered", "key replaced", "done"])
def test_a_power_cut_at_any_moment_leaves_a_pair_that_fits(own: Identity, moment: str) -> None:
    request = own.request()
    if moment != "asked":  # as ``accept`` does it, up to that moment
        own.certificate.with_name("certificate.pem.next").write_text(answer(request, DUE))
    if moment in ("key replaced", "done"):
        own.key.with_name("key.pem.next").replace(own.key)
    if moment == "done":
        own.certificate.with_name("certificate.pem.next").replace(own.certificate)
    own.settle()
    assert fits(own)
    assert leftovers(own) == (["key.pem.next"] if moment == "asked" else [])


def test_a_certificate_that_is_not_ours_is_not_taken(own: Identity) -> None:
    request = own.request()
    before = own.certificate.read_text()
    for wrong in (
        answer(request, DUE, ("RIVERSIDE", "GW-2")),
        answer(request, DUE, authority=establish(NOW)),
        pem(AUTHORITY.gateway(new_key().public_key(), "RIVERSIDE", "GW-1", DUE)),
        pem(AUTHORITY.hub(open_request(request.request.encode())[1], DUE)),
        answer(request, NOW - timedelta(days=1)),
        before,
        "rubbish",
        "",
    ):
        with pytest.raises(IdentityError, match="A certificate came that"):
            own.accept(wrong, DUE)
        assert own.certificate.read_text() == before
        assert fits(own)


def test_a_certificate_that_nobody_asked_for_is_not_taken(own: Identity) -> None:
    with pytest.raises(IdentityError, match="was not asked for"):
        own.accept(pem(AUTHORITY.gateway(new_key().public_key(), "RIVERSIDE", "GW-1", DUE)), DUE)


def test_a_certificate_that_is_over_says_what_to_do(own: Identity) -> None:
    with pytest.raises(IdentityError, match=r"ended at 2027-02-22 08:30 UTC; have it enrolled anew"):
        own.held(NOW + timedelta(days=90))
    own.certificate.write_text("rubbish")
    with pytest.raises(IdentityError, match="it is not a certificate"):
        own.held(NOW)


def test_a_gateway_asks_when_a_third_is_left_and_once_an_hour(own: Identity) -> None:
    renewal = Renewal(own)
    renewal.begin(NOW)
    assert renewal.wish(NOW + timedelta(days=59)) == ()
    (metric,) = renewal.wish(DUE)
    assert renewal.wish(DUE + timedelta(minutes=59)) == ()
    assert len(renewal.wish(DUE + edge_renewal.ASK_EVERY)) == 1
    renewal.begin(DUE)  # a new connection does not make it ask sooner
    assert renewal.wish(DUE + timedelta(hours=1, minutes=30)) == ()
    assert metric.name == topics.CERTIFICATE_REQUEST
    assert renewal.take(answer(own.request(), DUE), DUE)
    renewal.begin(DUE)
    assert renewal.wish(DUE + timedelta(hours=3)) == ()


def test_where_it_may_not_write_it_says_so_and_goes_on(own: Identity, caplog: pytest.LogCaptureFixture) -> None:
    renewal = Renewal(own)
    renewal.begin(NOW)
    own.key.write_text("-----BEGIN RSA PRIVATE KEY-----")
    assert renewal.wish(DUE) == ()
    assert "does not hold a key of an elliptic curve" in caplog.text


def asked(own: Identity, request: Request) -> RenewalAsked:
    return RenewalAsked(Speaker(Address("RIVERSIDE", "GW-1")), request.request, request.held, request.proof)


def test_the_hub_knows_the_holder_by_the_key_in_use(own: Identity) -> None:
    request = own.request()
    assert holder(asked(own, request)) == own.held(NOW).fingerprint(own.held(NOW).signature_hash_algorithm).hex()  # type: ignore[arg-type]


def test_who_does_not_hold_the_key_in_use_asks_in_vain(own: Identity, tmp_path: Path) -> None:
    request = own.request()
    thief = Identity(NAME, own.ca, own.certificate, tmp_path / "other.pem")
    thief.key.write_bytes(key_pem(new_key()))
    other = thief.request()
    for stolen in (
        Request(other.request, request.held, other.proof),
        Request(other.request, request.held, request.proof),
        Request(request.request, request.held, ""),
        Request(request.request, "", request.proof),
        Request(request.request, request.held, "zz"),
        Request(request.request * 20, request.held, request.proof),
    ):
        with pytest.raises((ForbiddenError, InvalidError)):
            holder(asked(own, stolen))


def test_a_request_travels_as_one_metric(own: Identity) -> None:
    renewal = Renewal(own)
    renewal.begin(NOW)
    sent = renewal.wish(DUE)
    (metric,) = decode(encode(Payload(DUE, 1, sent))).metrics
    assert metric == sent[0]
    assert len(encode(Payload(DUE, 1, sent))) < 4_000
