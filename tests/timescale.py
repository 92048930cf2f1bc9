"""A real TimescaleDB (Apache edition) for tests: Debian 13's packages in a root of their own, made once and kept.

debootstrap makes the root, which only root may run.  The server runs in it as the root's user ``postgres`` and listens
on 127.0.0.1 only; its data goes with it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.child import POLL_S, Child, free_port, launch, log_tail
from tests.cache import CannotBeMadeError, cached

SUITE = "trixie"
PACKAGES = ("postgresql-17", "postgresql-17-timescaledb")
BINARIES = "/usr/lib/postgresql/17/bin"
INITDB = ("-U", "plantroom", "-A", "scram-sha-256", "-E", "UTF8", "--no-instructions", "--no-sync",
          "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8")  # fmt: skip
PASSWORD = "only for tests"
START_TIMEOUT_S = 60.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "0",  # they would hold on to databases that others are copied from
    "max_connections": "60",
    "max_locks_per_transaction": "256",
    "timezone": "UTC",
    "jit": "off",
    "fsync": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True)
class Timescale:
    """A running server; ``dsn_of`` gives its superuser's way into a database."""

    port: int

    def dsn_of(self, database: str) -> str:
        return make_conninfo("", host="127.0.0.1", port=self.port, user="plantroom", password=PASSWORD, dbname=database)

    @property
    def dsn(self) -> str:
        return self.dsn_of("postgres")


def root() -> Path:
    """Give the root with the packages; raises CannotBeMadeError where it is not there and cannot be made."""
    if os.geteuid() != 0:
        raise CannotBeMadeError("a real TimescaleDB runs in a root of its own, which only root can enter; run as root")
    return cached(f"timescaledb-{SUITE}", _make)


def _make(part: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise CannotBeMadeError("debootstrap is missing; apt-get install debootstrap")
    _call(["debootstrap", "--variant=minbase", SUITE, str(part)])
    policy = part / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # installing starts no server
    policy.chmod(0o755)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    _call(["chroot", str(part), *install, *PACKAGES])
    _call(["chroot", str(part), "apt-get", "clean"])


def _call(argv: Sequence[str]) -> None:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode:
        said = " / ".join(done.stdout.strip().splitlines()[-3:])
        raise CannotBeMadeError(f"{' '.join(argv[:2])} failed with {done.returncode}: {said}")


@contextmanager
def running(**settings: str) -> Iterator[Timescale]:
    """Start a server with data of its own and ``settings`` over ours, and end it with its data."""
    with cluster() as home, serving(home, **settings) as server:
        yield server


@contextmanager
def cluster() -> Iterator[Path]:
    """Give the folder of a fresh cluster inside the root."""
    inside = root()
    home = Path(tempfile.mkdtemp(prefix="plantroom-", dir=inside / "var/lib/postgresql"))
    try:
        (home / "secret").write_text(PASSWORD)
        _call(["chroot", str(inside), "chown", "-R", "postgres:postgres", f"/{home.relative_to(inside)}"])
        data = f"/{home.relative_to(inside)}"
        _call([*_inside(inside), f"{BINARIES}/initdb", "-D", f"{data}/data", f"--pwfile={data}/secret", *INITDB])
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def serving(home: Path, **settings: str) -> Iterator[Timescale]:
    """Run the server of a cluster until the end of the block."""
    inside, port, log = root(), free_port(), home / "log"
    lines = [f"{name} = '{value}'\n" for name, value in (SETTINGS | settings | {"port": str(port)}).items()]
    (home / "data/postgresql.auto.conf").write_text("".join(lines))
    data = f"/{home.relative_to(inside)}/data"
    child = launch([*_inside(inside), f"{BINARIES}/postgres", "-D", data], log, env={}, death=signal.SIGINT)
    try:
        until_s = time.monotonic() + START_TIMEOUT_S
        while not _answers(child, Timescale(port), log):
            assert time.monotonic() < until_s, log_tail(log)
            time.sleep(POLL_S)
        yield Timescale(port)
    finally:
        child.end(signal.SIGINT)


def _answers(child: Child, server: Timescale, log: Path) -> bool:
    assert child.alive(), log_tail(log)
    try:
        psycopg.connect(server.dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _inside(root: Path) -> list[str]:
    """Give the words before a program that runs in the root as its ``postgres`` and ends when we do."""
    program = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert program is not None
    become = ["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=INT"]
    return [program, str(root), "/usr/bin/setpriv", *become]
