"""One process that we watch: our own child on a leash, or a server that outlived a crashed run.

``launch`` starts a program, ``Child`` tells whether it lives and ends it.  Output goes to a file, never to a pipe
that somebody would have to empty.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LEASH = Path(__file__).with_name("leash.py")
PROC = Path("/proc")
LOG_BYTES = 10_000_000
POLL_S = 0.02
PATIENCE_S = 3.0
KILL_WAIT_S = 2.0


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has collected does not."""
    try:
        state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not PROC.exists() and _answers(pid)
    return state not in {"Z", "X"}


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass
class Child:
    """A process by number; ``process`` is None for one that another run has started."""

    pid: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def alive(self) -> bool:
        """Whether it still runs; collects it when it was ours and has ended."""
        return alive(self.pid) if self.process is None else self.process.poll() is None

    def send(self, number: int) -> None:
        """Send a signal; none when it has ended (the number may belong to somebody else by now)."""
        if self.alive():
            os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came in time."""
        until = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() > until:
                return False
            time.sleep(POLL_S)
        return True

    def end(self, number: int = signal.SIGTERM, patience_s: float = PATIENCE_S) -> bool:
        """Ask it to end, then insist; whether it went by itself."""
        self.send(number)
        if self.wait(patience_s):
            return True
        self.send(signal.SIGKILL)
        self.wait(KILL_WAIT_S)
        return False


def launch(
    argv: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    death: int = signal.SIGKILL,
    cwd: Path = Path("/"),
) -> Child:
    """Start a program on a leash with its output appended to ``log``; call it from the main thread.

    ``user`` (only as root) is whom it runs as, ``death`` is the signal that it gets when we die.
    """
    leashed = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), str(int(death)), user or "-", "--", *argv]
    with open_log(log) as output:
        process = subprocess.Popen(
            leashed,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(os.environ if env is None else env),
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches only us; we stop the rest in order
        )
    return Child(process.pid, process)


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending, readable by its owner alone; a full one becomes ``NAME.1``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def log_tail(path: Path, lines: int = 3) -> str:
    """Give the last lines of a log in one line, for a sentence about a failure."""
    if not path.exists():
        return "no log"
    return " / ".join(path.read_text(errors="replace").strip().splitlines()[-lines:])[-600:]


def free_port(wanted: int = 0) -> int:
    """Find a port of 127.0.0.1 that nobody listens on: the wanted one when it is free."""
    for number in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("No free port on 127.0.0.1; close some programs and start again.")
