"""Which connections leave the machine, and which of those are refused."""

import pytest

from deploy.settings import SettingsError, read
from deploy.transport import InClearError, check_database, check_web, leaves


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]", "/run/postgresql", "@x"])
def test_this_machine_is_this_machine(host: str) -> None:
    assert not leaves(host)


@pytest.mark.parametrize("host", ["db.example", "10.0.0.5", "0.0.0.0", "::", "localhost.example", "2001:db8::1"])
def test_everything_else_is_elsewhere(host: str) -> None:
    assert leaves(host)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p@db.example/plantroom",
        "host=10.0.0.5 user=u sslmode=require",
        "host=localhost,db.example user=u",
        "host=localhost hostaddr=10.0.0.5",
        "postgresql://u:p@db.example/plantroom?sslmode=prefer",
    ],
)
def test_a_database_elsewhere_is_reached_by_tls_with_a_checked_certificate(dsn: str) -> None:
    with pytest.raises(InClearError, match="verify-full") as refused:
        check_database(dsn, ())
    assert "p@" not in str(refused.value)
    check_database(dsn, ("database",))


@pytest.mark.parametrize(
    "dsn", ["host=127.0.0.1 user=u", "postgresql://u:p@db.example/x?sslmode=verify-full", "", "dbname=x", "=nonsense"]
)
def test_a_database_here_or_behind_checked_tls_is_let_through(dsn: str) -> None:
    check_database(dsn, ())


def test_pages_go_to_a_network_by_https_or_through_a_proxy_only() -> None:
    with pytest.raises(InClearError, match="PLANTROOM_WEB_CERTIFICATE"):
        check_web("0.0.0.0", encrypted=False, public_address="http://plantroom.example", unencrypted=())
    with pytest.raises(InClearError, match="PLANTROOM_PUBLIC_ADDRESS"):
        check_web("0.0.0.0", encrypted=True, public_address="", unencrypted=())
    check_web("0.0.0.0", encrypted=False, public_address="https://plantroom.example", unencrypted=())
    check_web("0.0.0.0", encrypted=True, public_address="https://plantroom.example", unencrypted=())
    check_web("0.0.0.0", encrypted=False, public_address="", unencrypted=("web",))
    check_web("127.0.0.1", encrypted=False, public_address="", unencrypted=())


def test_the_settings_themselves_refuse_what_would_go_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTROOM_DATABASE_DSN", "postgresql://u:secret@db.example/plantroom")
    with pytest.raises(InClearError, match="verify-full") as refused:
        read().dsn()
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("PLANTROOM_UNENCRYPTED", "database")
    assert "db.example" in read().dsn()
    monkeypatch.setenv("PLANTROOM_WEB_HOST", "0.0.0.0")
    with pytest.raises(SettingsError, match="PLANTROOM_WEB_CERTIFICATE"):
        read()
    monkeypatch.setenv("PLANTROOM_UNENCRYPTED", "everything")
    with pytest.raises(SettingsError, match="database, web"):
        read()
