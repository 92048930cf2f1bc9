"""The real ``plantroom`` command line, many times: one process that has imported it forks for every line."""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PREFIX = "PLANTROOM_"


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``said`` are the lines of its stderr."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        return self.err.splitlines()


class CommandLine:
    """Runs command lines in ``folder``; settings are given as ``PLANTROOM_*`` variables."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self.folder = folder

    def __call__(self, *words: str, settings: Mapping[str, str] | None = None) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([words, settings or {}]) + "\n")
        self._process.stdin.flush()
        return Ended(*json.loads(self._process.stdout.readline()))


@contextmanager
def started(folder: Path) -> Iterator[CommandLine]:
    """Start the process that forks."""
    house = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fault.command_line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(house), "COLUMNS": "200"},
    ) as process:
        yield CommandLine(process, folder)


def serve() -> None:
    """Fork for every line of stdin."""
    from deploy import cli  # noqa: PLC0415  heavy, and only this process needs it

    for line in sys.stdin:
        words, settings = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                _become(words, settings, out.fileno(), err.fileno())
                os._exit(_code(cli.main))
            _, status = os.waitpid(pid, 0)
            out.seek(0)
            err.seek(0)
            ended = [os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()]
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


def _become(words: list[str], settings: dict[str, str], out: int, err: int) -> None:
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.environ.update(settings)
    sys.argv = ["plantroom", *words]


def _code(main: object) -> int:
    try:
        main()  # type: ignore[operator]  # cli.main
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  what Python would do
        traceback.print_exc()
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
