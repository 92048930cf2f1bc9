"""The embedded PostgreSQL: a cluster in the data directory, run as our own child on 127.0.0.1.

Never through ``pg_ctl start`` (after a crash its orphan blocks every later start).  Ready is what ``postmaster.pid``
says.  A server that outlived a crashed run is taken over; one that another Plantroom holds is used and left alone.
When we are killed, the kernel sends the server SIGINT: a fast, clean shutdown.
"""

import signal
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from deploy import postgres_binaries, state
from deploy.child import POLL_S, Child, free_port, launch, log_tail
from deploy.postgres_cluster import OWNER, Cluster, StartFailedError, environment
from deploy.state import AlreadyHeldError, Hold

DATABASE = "plantroom"
START_TIMEOUT_S = 60.0  # crash recovery included
STOP_PATIENCE_S = 3.0
STRAY_PATIENCE_S = 0.5
PORT_TRIES = 5


class Postgres:
    """One cluster; ``start``, then ``dsn``, then ``stop``.  Use it from the main thread (see ``leash``)."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: sessions are cut, everything is written

    def __init__(self, home: Path) -> None:
        self._home = home
        self._user = postgres_binaries.server_user()
        self._cluster = Cluster(home, self._user)
        self._hold: Hold | None = None
        self.child: Child | None = None
        self.port = 0

    @property
    def dsn(self) -> str:
        """The owner's connection (superuser: for migrations and care only)."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """Give the owner's connection to another database of the cluster."""
        secret = quote(state.password(self._home / "password"), safe="")
        return f"postgresql://{OWNER}:{secret}@127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._home / "postgres.log"

    @property
    def owned(self) -> bool:
        """Whether this process holds the cluster (and so must stop it)."""
        return self._hold is not None

    def start(self) -> None:
        """Bring the server up or find it running; ready when this returns (0.1 s warm, 1.5 s at the first start).

        Raises NoPostgresError, AlreadyHeldError or StartFailedError, each with one sentence.
        """
        self._home = postgres_binaries.open_home(self._home, self._user)
        self._cluster = Cluster(self._home, self._user)
        hold = Hold(self._home)
        until = time.monotonic() + START_TIMEOUT_S
        while not hold.take():  # another Plantroom's: use it, it may be starting at this moment
            if self._use_ready():
                return
            if time.monotonic() > until:
                raise AlreadyHeldError(
                    f"Another Plantroom (process {hold.holder()}) holds {self._home} but its database is not "
                    "ready: stop it, or give another --data."
                )
            time.sleep(POLL_S)
        self._hold = hold
        try:
            self._start_held()
            create_database(self.dsn_of("postgres"), DATABASE)
        except BaseException:
            self.stop()
            raise

    def find(self) -> bool:
        """Use the server if it runs already, without holding or starting anything; whether it does."""
        self._home = self._home.resolve()
        self._cluster = Cluster(self._home, self._user)
        return self._use_ready()

    def _start_held(self) -> None:
        if not self._cluster.exists():
            self._cluster.create(state.password(self._home / "password"))
        if self._take_over():
            return
        for _ in range(PORT_TRIES):
            if self._wait_ready(self.spawn()):
                return
            if "could not bind" not in log_tail(self.log, lines=10):
                break
            self.port = 0  # somebody was faster: another one
            (self._home / "port").unlink(missing_ok=True)
        raise StartFailedError(f"PostgreSQL did not start; the end of {self.log}: {log_tail(self.log)}")

    def spawn(self) -> Child:
        """Start the server process without waiting for it, on the port of the last start when that is free."""
        if self._cluster.processes():
            raise StartFailedError("Parts of the last PostgreSQL are still ending; trying again shortly.")
        self._cluster.forget_postmaster()
        programs, major = self._cluster.programs()
        self._cluster.configure(major)
        self.port = free_port(self.port or state.last_port(self._home / "port"))
        state.write_private(self._home / "port", str(self.port))
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        argv = [str(programs / "postgres"), "-D", str(self._cluster.folder), *address]
        user = self._user.pw_name if self._user else None
        self.child = launch(argv, self.log, env=environment(), user=user, death=signal.SIGINT)
        return self.child

    def stop(self) -> None:
        """Stop the server when it is ours: fast, then hard after 3 s (the next start recovers)."""
        if self.child is not None and self.owned:
            self.child.end(self.stop_signal, STOP_PATIENCE_S)
            self._end_strays()
        self.child = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _end_strays(self) -> None:
        """End the helpers of a server that had to be killed; normally there are none."""
        until = time.monotonic() + STRAY_PATIENCE_S
        while (left := self._cluster.processes()) and time.monotonic() < until:
            time.sleep(POLL_S)
        for pid in left:
            Child(pid).send(signal.SIGKILL)

    def _wait_ready(self, child: Child) -> bool:
        until = time.monotonic() + START_TIMEOUT_S
        while child.alive() and time.monotonic() < until:
            found = self._cluster.postmaster()
            if found is not None and found.pid == child.pid and found.ready:
                return True
            time.sleep(POLL_S)
        return False

    def _take_over(self) -> bool:
        """Take over the ready server of a crashed run; otherwise wait until it is gone with all its helpers."""
        until = time.monotonic() + START_TIMEOUT_S
        while left := self._cluster.processes():
            if self._use_ready():
                return True
            if time.monotonic() > until:
                raise StartFailedError(
                    f"An earlier PostgreSQL in {self._cluster.folder} (process {left[0]}) neither works nor ends; "
                    "end it and start again."
                )
            time.sleep(POLL_S)
        return False

    def _use_ready(self) -> bool:
        found = self._cluster.postmaster()
        if found is None or not found.ready:
            return False
        self.child, self.port = Child(found.pid), found.port
        return True


def create_database(dsn: str, name: str, template: str | None = None) -> None:
    """Create a database if it does not exist; ``dsn`` leads to another database of the same server."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            source = sql.Identifier(template or "template1")
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))
