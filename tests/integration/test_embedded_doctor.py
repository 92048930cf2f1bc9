from pathlib import Path

import psycopg
import pytest

from deploy import doctor
from deploy.broker import Broker
from deploy.child import free_port
from deploy.doctor_check import Check
from deploy.embedded import Servers
from deploy.settings import Settings, read
from hub.store.migrate import migrations
from tests.conftest import PostgresForTests


def by_name(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in doctor.checks(settings)}


def test_embedded_servers_that_do_not_run_are_well(tmp_path: Path) -> None:
    found = by_name(read(data=tmp_path / "data"))
    assert found["Database"].ok
    assert "not running" in found["Database"].sentence()
    assert "PostgreSQL 18" in found["Database programs"].found
    assert "iotcore 0.4" in found["Broker"].found
    assert found["Data directory"].ok
    assert not (tmp_path / "data").exists()


def test_a_database_tells_its_version_store_and_migrations(postgres: PostgresForTests, broker: Broker) -> None:
    dsn = postgres.new_database()
    settings = read(
        database_dsn=dsn,
        broker_address=f"{broker.host}:{broker.port}",
        broker_username=broker.username,
        broker_password=broker.password,
    )
    found = by_name(settings)
    assert "PostgreSQL 18" in found["Database"].found
    assert found["Store"].found == "plain"
    assert found["Migrations"].sentence().endswith(f"0 of {len(migrations())} applied. Run 'plantroom hub migrate'.")
    assert not doctor.diagnose(settings).ok
    assert found["Broker"].found.endswith("speaks MQTT 5")

    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE public.schema_migrations (number integer)")
        connection.execute(
            "INSERT INTO public.schema_migrations SELECT generate_series(1, %s::integer)", [len(migrations())]
        )
    assert by_name(settings)["Migrations"].ok


def test_what_is_away_or_refuses_us_is_said_with_advice_and_without_secrets(
    postgres: PostgresForTests, broker: Broker, tmp_path: Path
) -> None:
    closed = free_port()
    wrong = read(
        data=tmp_path,
        database_dsn=f"postgresql://plantroom:s3cret@127.0.0.1:{postgres.server.port}/plantroom",
        broker_address=f"127.0.0.1:{broker.port}",
        broker_username=broker.username,
        broker_password="s3cret",
    )
    found = by_name(wrong)
    assert "password authentication failed" in found["Database"].found
    assert "refuses the user name and password" in found["Broker"].found
    assert "s3cret" not in str(found)

    away = by_name(read(data=tmp_path, broker_address=f"127.0.0.1:{closed}", database_dsn_file=tmp_path / "none"))
    assert "cannot be reached (Connection refused)" in away["Broker"].sentence()
    assert "check the path" in away["Database"].sentence()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("in the way")
    assert doctor.data_directory(tmp_path / "not" / "yet").ok  # the nearest directory counts
    assert "no folder" in doctor.data_directory(place / "data").sentence()
    check = doctor.data_directory(Path("/proc/nowhere"))
    assert not check.ok
    assert "another place with --data" in check.sentence()


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 10**18)
    assert "Free at least" in doctor.disk(tmp_path).sentence()


def test_a_running_embedded_server_is_found_without_touching_it(open_directory: Path) -> None:
    settings = read(data=open_directory / "examined")
    with Servers(settings) as servers:
        found = by_name(settings)
        assert f"embedded, port {servers.postgres.port}" in found["Database"].found
        assert "speaks MQTT 5" in found["Broker"].found
        assert servers.postgres.child.alive()
