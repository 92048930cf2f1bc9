"""A second embedded server that follows the first: a base copy, then streaming."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy import postgres_binaries
from deploy.postgres import Postgres
from deploy.postgres_cluster import Cluster, environment

PATIENCE_S = 30.0
POLL_S = 0.05


class Standby:
    """``start``, ``stop``, ``start`` again; ``dsn`` is the owner's, read only."""

    def __init__(self, home: Path, primary: str) -> None:
        """Copy the server at ``primary`` (its owner's DSN) into ``home``."""
        user = postgres_binaries.server_user()
        self._home = postgres_binaries.open_home(home, user)
        self._primary = primary
        said = conninfo_to_dict(primary)
        (self._home / "password").write_text(str(said["password"]))
        programs, _ = Cluster(self._home, user).programs()
        copy = self._home / "cluster"
        copy.mkdir(mode=0o700)
        if user is not None:
            os.chown(copy, user.pw_uid, user.pw_gid)
        who = f"-h {said['host']} -p {said['port']} -U {said['user']}".split()
        subprocess.run(
            [programs / "pg_basebackup", "-D", copy, "-R", "-X", "stream", "-c", "fast", "--no-sync", *who],
            check=True,
            capture_output=True,
            cwd="/",
            env=environment() | {"PGPASSWORD": str(said["password"])},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        self._server = Postgres(self._home)

    @property
    def dsn(self) -> str:
        """The owner's connection to the database of the primary's DSN."""
        return make_conninfo(self._primary, host="127.0.0.1", port=self._server.port)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server.spawn()
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn).close()
                return
            time.sleep(POLL_S)
        raise AssertionError(self._server.log.read_text()[-2000:])

    def stop(self) -> None:
        """Stop it at once."""
        if self._server.child is not None:
            self._server.child.end(Postgres.stop_signal, PATIENCE_S)

    def run(self, statement: str) -> None:
        """Run something as its owner."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())
