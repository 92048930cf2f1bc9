import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.broker import Broker, answers
from deploy.child import alive
from deploy.postgres import Postgres
from deploy.processes import Supervisor

REPOSITORY = Path(__file__).parents[2]
SLEEP = ["python", "-c", "import time; time.sleep(60)"]
STUBBORN = [
    "python",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]

WHOLE_RUN = """
import asyncio, sys
from pathlib import Path
from deploy.embedded import Servers
from deploy.foreground import run
from deploy.processes import Supervisor
from deploy.settings import read

async def live(data):
    with Servers(read(data=data)) as servers:
        async with Supervisor() as supervisor:
            for server in servers.owned:
                supervisor.adopt(server)
            supervisor.start("one", ["python", "-c", "import time; time.sleep(60)"], data / "one.log")
            await asyncio.sleep(0.3)
            print(*supervisor.pids.values(), flush=True)
            await asyncio.Event().wait()

run(live(Path(sys.argv[1])))
"""


@pytest.fixture
def folder(open_directory: Path) -> Iterator[Path]:
    made = open_directory / f"run-{time.monotonic_ns()}"
    made.mkdir()
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  what is awaited lies in other processes
            await asyncio.sleep(0.02)


def is_deaf(log: Path) -> bool:
    return log.exists() and "deaf" in log.read_text()


async def test_a_crashed_process_starts_again_later_each_time(folder: Path) -> None:
    said: list[str] = []
    async with Supervisor(said.append) as supervisor:
        supervisor.start("brief", ["python", "-c", "print('last words'); raise SystemExit(3)"], folder / "brief.log")
        first = supervisor.pids["brief"]
        await until(lambda: supervisor.restarts["brief"] == 1)
        assert supervisor.pids["brief"] != first
        await until(lambda: len(said) == 2)
    assert "brief ended with exit code 3; it starts again in 1 s." in said[0]
    assert "last words" in said[0]
    assert "starts again in 2 s" in said[1]
    assert not alive(first)


async def test_stop_ends_even_a_deaf_process_within_five_seconds(folder: Path) -> None:
    async with Supervisor() as supervisor:
        supervisor.start("deaf", STUBBORN, folder / "deaf.log")
        supervisor.start("willing", SLEEP, folder / "willing.log")
        await until(lambda: is_deaf(folder / "deaf.log"))
        pids = supervisor.pids.values()
        assert supervisor.rss_bytes() > 10_000_000
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert not any(map(alive, pids))


async def test_two_processes_of_one_name_are_refused(folder: Path) -> None:
    async with Supervisor() as supervisor:
        supervisor.start("twin", SLEEP, folder / "twin.log")
        with pytest.raises(ValueError, match="A process named twin runs already"):
            supervisor.start("twin", SLEEP, folder / "twin.log")


async def test_killed_servers_come_back_on_their_ports(folder: Path) -> None:
    postgres, broker = Postgres(folder / "postgres"), Broker(folder / "broker")
    postgres.start()
    broker.start()
    said: list[str] = []
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("CREATE TABLE kept ()")
    dsn, port = postgres.dsn, broker.port
    async with Supervisor(said.append) as supervisor:
        supervisor.adopt(postgres)
        supervisor.adopt(broker)
        for pid in supervisor.pids.values():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: supervisor.restarts == {"postgres": 1, "broker": 1})
        await until(lambda: signs_in(dsn) and answers("127.0.0.1", port))
        pids = supervisor.pids.values()
    assert not any(map(alive, pids))
    assert any("postgres was killed by SIGKILL" in sentence for sentence in said)
    postgres.stop()
    broker.stop()


def signs_in(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT FROM kept")
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_a_run_ends_no_process_is_left_within_five_seconds(folder: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-c", WHOLE_RUN, str(folder / "data")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 3
        started = time.monotonic()
        parent.send_signal(number)
    assert parent.returncode == (-number if number == signal.SIGKILL else 0)
    while any(map(alive, pids)) and time.monotonic() - started < 5:
        time.sleep(0.02)
    assert not any(map(alive, pids))
    assert not list(folder.glob("data/postgres/cluster/postmaster.pid"))  # the database ended cleanly
