import time
from pathlib import Path

import psycopg
import pytest

from deploy.broker import Broker, answers
from deploy.child import free_port
from deploy.embedded import DataDirectoryError, Servers, UnreachableServerError, database
from deploy.embedded import broker as broker_for_one
from deploy.settings import Settings, read
from tests.conftest import PostgresForTests


def configured(postgres: PostgresForTests, broker: Broker, data: Path) -> Settings:
    return read(
        data=data,
        database_dsn=postgres.new_database(),
        broker_address=f"{broker.host}:{broker.port}",
        broker_username=broker.username,
        broker_password=broker.password,
    )


def test_configured_servers_replace_the_embedded_ones(
    postgres: PostgresForTests, broker: Broker, tmp_path: Path
) -> None:
    settings = configured(postgres, broker, tmp_path / "data")
    with Servers(settings) as servers:
        assert servers.owned == []
        assert servers.dsn == settings.dsn()
        assert (servers.broker.port, servers.broker.password) == (broker.port, broker.password)
    assert list((tmp_path / "data").iterdir()) == []
    assert broker.child.alive()
    with database(settings) as dsn, broker_for_one(settings) as address:
        assert dsn == settings.dsn()
        assert address == servers.broker


def test_a_configured_server_that_is_away_is_one_sentence_without_the_secret(
    postgres: PostgresForTests, broker: Broker, tmp_path: Path
) -> None:
    good = configured(postgres, broker, tmp_path)
    secret = "pa55word-of-mine"
    dsn = f"postgresql://somebody:{secret}@127.0.0.1:{free_port()}/plantroom"
    with pytest.raises(UnreachableServerError, match="PLANTROOM_DATABASE_DSN does not let us in") as caught:
        Servers(read(data=tmp_path, database_dsn=dsn)).start()
    assert secret not in str(caught.value)
    address = f"127.0.0.1:{free_port()}"
    away = read(data=tmp_path, database_dsn=good.dsn(), broker_address=address)
    with pytest.raises(UnreachableServerError, match=f"No MQTT broker answers at {address}"):
        Servers(away).start()


@pytest.mark.parametrize("dsn", ["host='pa55word", "postgresql://u@h/d?pa55word=1"])
def test_a_dsn_that_cannot_be_read_is_not_quoted(dsn: str, tmp_path: Path) -> None:
    with pytest.raises(UnreachableServerError, match="not written like postgresql://") as caught:
        Servers(read(data=tmp_path, database_dsn=dsn)).start()
    assert "55word" not in str(caught.value)


def test_a_data_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        DataDirectoryError, match=r"cannot be written \(Not a directory\): .* another place with --data"
    ):
        Servers(read(data=tmp_path / "file" / "data")).start()


def test_a_failing_broker_stops_the_database_that_had_been_started(open_directory: Path) -> None:
    settings = read(data=open_directory / "half", broker_address=f"127.0.0.1:{free_port()}")
    servers = Servers(settings)
    with pytest.raises(UnreachableServerError):
        servers.start()
    assert servers.owned == []


def test_one_command_borrows_a_running_database_or_brings_its_own(open_directory: Path) -> None:
    settings = read(data=open_directory / "borrowed")
    with database(settings) as own, psycopg.connect(own) as connection:
        connection.execute("CREATE TABLE kept ()")
    with Servers(settings) as servers:
        with database(settings) as borrowed:
            assert borrowed == servers.dsn
        psycopg.connect(servers.dsn).close()
        with broker_for_one(settings) as address:
            assert address == servers.broker
        assert answers(servers.broker.host, servers.broker.port)
        pids = [server.child.pid for server in servers.owned]
        assert len(pids) == 2
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
