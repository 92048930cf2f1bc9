"""Whatever bytes come for a certificate request or a certificate: a sentence, never another kind of failure."""

import base64
import contextlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.identity import make_request, new_key
from hub.assets.authority import establish, open_request
from hub.errors import ForbiddenError, InvalidError
from hub.ingest.acts import Address, RenewalAsked, Speaker
from hub.ingest.renewal import holder

# The library warns of what it will refuse one day.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NOW = datetime(2026, 11, 24, tzinfo=UTC)
REQUEST = x509.load_pem_x509_csr(make_request(new_key(), "S/G")).public_bytes(Encoding.DER)
HELD = establish(NOW).gateway(new_key().public_key(), "S", "G", NOW).public_bytes(Encoding.DER)
CHANGES = st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 255)), min_size=1, max_size=4)


def changed(der: bytes, changes: list[tuple[int, int]]) -> bytes:
    data = bytearray(der)
    for place, value in changes:
        data[place % len(data)] = value
    return bytes(data)


def pem(kind: str, der: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n"


def opened(data: bytes) -> None:
    with contextlib.suppress(InvalidError):
        open_request(data)


@given(CHANGES)
def test_a_request_with_changed_bytes_is_refused_in_words(changes: list[tuple[int, int]]) -> None:
    opened(pem("CERTIFICATE REQUEST", changed(REQUEST, changes)).encode())


@given(st.binary(max_size=2_000))
def test_rubbish_for_a_request_is_refused_in_words(data: bytes) -> None:
    opened(data)
    opened(pem("CERTIFICATE REQUEST", data).encode())


@given(CHANGES, st.text(max_size=200))
def test_a_certificate_with_changed_bytes_proves_nothing(changes: list[tuple[int, int]], proof: str) -> None:
    request = pem("CERTIFICATE REQUEST", REQUEST)
    for held in (pem("CERTIFICATE", changed(HELD, changes)), proof):
        try:
            holder(RenewalAsked(Speaker(Address("S", "G")), request, held, proof))
        except (InvalidError, ForbiddenError):
            continue
        raise AssertionError("a proof of nothing was believed")
