"""The cluster on disk: made by initdb, configured by an included file, and what its running server says of itself."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy import postgres_binaries, state
from deploy.child import PROC, alive

OWNER = "plantroom"
CLEAN_PREFIXES = ("PG", "LC_", "LANG")
BUILTIN_LOCALE_MAJOR = 17
PID_LINES = 8

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "cluster_name": "plantroom",
    "shared_buffers": "128MB",
    "max_connections": "60",
    "max_parallel_workers_per_gather": "0",
    "max_locks_per_transaction": "256",
    "max_wal_size": "512MB",
    "huge_pages": "off",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # a refused statement may carry a password
}
SETTINGS_BY_MAJOR = {18: {"io_method": "sync"}}  # three I/O workers less


class StartFailedError(RuntimeError):
    """The server did not come up: the sentence carries the reason, mostly the end of its log."""


@dataclass(frozen=True)
class Postmaster:
    """What ``postmaster.pid`` says of a living server: lines 1, 4 and 8."""

    pid: int
    port: int
    ready: bool


@dataclass(frozen=True)
class Cluster:
    """A cluster in ``home/cluster``, owned by ``user`` (None: by ourselves)."""

    home: Path
    user: pwd.struct_passwd | None

    @property
    def folder(self) -> Path:
        """The data directory of PostgreSQL."""
        return self.home / "cluster"

    def exists(self) -> bool:
        """Whether initdb has finished here."""
        return (self.folder / "PG_VERSION").exists()

    def programs(self) -> tuple[Path, int]:
        """Give the folder of programs that fit, executable by the server's user, and their major version."""
        data_major = int((self.folder / "PG_VERSION").read_text().strip()) if self.exists() else None
        binaries = postgres_binaries.choose(data_major)
        return postgres_binaries.executable(binaries, self.home, self.user), binaries.major

    def create(self, password: str) -> None:
        """Run initdb beside the place and move the result there when it is whole."""
        part, secret = self.home / "cluster.part", self.home / "password.initdb"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        state.write_private(secret, password)
        try:
            self._give(part, secret)
            self._initdb(part, secret)
        finally:
            secret.unlink()
        with (part / "postgresql.conf").open("a") as file:
            file.write("\ninclude = 'plantroom.conf'\n")
        part.rename(self.folder)

    def _initdb(self, part: Path, secret: Path) -> None:
        programs, major = self.programs()
        locale = ["--locale=C"]
        if major >= BUILTIN_LOCALE_MAJOR:
            locale = ["--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"]
        argv = [str(programs / "initdb"), "-D", str(part), "-U", OWNER, "-A", "scram-sha-256"]
        done = subprocess.run(
            [*argv, f"--pwfile={secret}", "-E", "UTF8", "--no-instructions", *locale],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment(),
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )
        if done.returncode:
            reason = done.stderr.strip().replace("\n", " / ")
            raise StartFailedError(f"PostgreSQL could not make its data directory {part}: {reason}")

    def configure(self, major: int) -> None:
        """Write our settings anew; what an engineer puts into postgresql.conf below the include wins."""
        values = SETTINGS | SETTINGS_BY_MAJOR.get(major, {})
        file = self.folder / "plantroom.conf"
        file.write_text("".join(f"{name} = '{value}'\n" for name, value in values.items()))
        self._give(file)

    def _give(self, *paths: Path) -> None:
        for path in paths:
            if self.user is not None:
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def postmaster(self) -> Postmaster | None:
        """Read what the running server says; None when none runs or its file is not whole yet."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
            found = Postmaster(int(lines[0]), int(lines[3]), lines[PID_LINES - 1].strip() == "ready")
        except (OSError, ValueError, IndexError):
            return None
        # the number of a dead server may belong to somebody else by now
        return found if alive(found.pid) and (not PROC.exists() or found.pid in self.processes()) else None

    def processes(self) -> list[int]:
        """List the living processes of this cluster, the server and its helpers (they work in its folder)."""
        found = []
        for entry in PROC.glob("[0-9]*/cwd"):
            try:
                if entry.readlink() == self.folder and alive(int(entry.parts[2])):
                    found.append(int(entry.parts[2]))
            except OSError:  # gone meanwhile, or somebody else's
                continue
        return sorted(found)

    def forget_postmaster(self) -> None:
        """Remove the note of a server that is dead; call it only when ``processes`` is empty."""
        (self.folder / "postmaster.pid").unlink(missing_ok=True)


def environment() -> dict[str, str]:
    """Give our environment without what would steer PostgreSQL from outside."""
    return {key: value for key, value in os.environ.items() if not key.startswith(CLEAN_PREFIXES)}
