"""The doctor tells a certificate that all trust from one that only we know, and says when it ends."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.doctor_certificate import check
from deploy.settings import Settings
from tests.integration.test_web_https import server_files
from tests.mosquitto import tls_server

NOW = datetime.now(UTC)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return server_files(tmp_path)[2]


def settings(tmp_path: Path, port: int, host: str = "localhost") -> Settings:
    return Settings(data=tmp_path, public_address=f"https://{host}:{port}")


def test_a_certificate_that_only_we_know_is_not_one_for_the_public(tmp_path: Path, ca: Path) -> None:
    with tls_server(tmp_path) as port:
        found = check(settings(tmp_path, port), NOW)
    assert (found.ok, found.needed) == (False, False)
    assert "not trusted" in found.sentence()
    assert "authority that browsers know" in found.sentence()


def test_a_certificate_that_is_trusted_is_well_until_it_ends_soon(tmp_path: Path, ca: Path) -> None:
    trust = ssl.create_default_context(cafile=str(ca))
    for later, well in ((timedelta(), True), (timedelta(days=350), False)):
        with tls_server(tmp_path) as port:
            found = check(settings(tmp_path, port), NOW + later, trust)
        assert (found.ok, "trusted by everybody until" in found.found) == (well, True)


def test_a_certificate_of_another_name_and_an_address_that_is_away_are_named(tmp_path: Path, ca: Path) -> None:
    trust = ssl.create_default_context(cafile=str(ca))
    with tls_server(tmp_path) as port:
        assert "not trusted" in check(settings(tmp_path, port, "127.0.0.1"), NOW, trust).sentence()
    assert "cannot be reached" in check(settings(tmp_path, port), NOW, trust).sentence()
    assert check(Settings(data=tmp_path), NOW).ok
