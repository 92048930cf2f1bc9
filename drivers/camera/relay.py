"""Carries a stream between FFmpeg and one camera, so that it never leads anywhere else and never hangs.

FFmpeg follows a redirection to any host, with our password; it believes in answers of any length, waits up to 13 s for
a server that is frozen, and says nothing but "no" when it fails.  So it talks to a port of ours on loopback: what the
camera answers is read, bounded and written anew (RFC 2326, 6 and 7), pictures pass as they are (10.12).
"""

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import urlsplit

from drivers.camera.url import LOOPBACK

PORTS = {"rtsp": 554, "rtsps": 322}
LINE_BYTES_MAX = 2048
LINES_MAX = 64
BODY_BYTES_MAX = 65_536  # a description of some streams takes 1 kB
CHUNK_BYTES = 65_536
CLOSE_S = 2.0
OK, ELSEWHERE, BAD, UNAUTHORIZED, MISSING = 200, 300, 400, 401, 404
STATUS = re.compile(rb"RTSP/1\.[0-9] ([1-5][0-9]{2})( [ -~]*)?")
HEADER = re.compile(rb"([A-Za-z-]{1,64}):[ \t]*([ -~]*)")


class NoPictureError(Exception):
    """There is no picture; one sentence.  ``answers``: somebody is there who speaks RTSP."""

    def __init__(self, message: str, *, answers: bool) -> None:
        super().__init__(message)
        self.answers = answers


class Relay:
    """One connection to a camera, for one connection of a player.

    Entering raises NoPictureError when the camera cannot be reached.  An ``rtsps`` camera must have a certificate that
    this machine trusts for its name.
    """

    def __init__(self, place: str, timeout_s: float, *, known: bool) -> None:
        """Prepare; ``known``: we have a user and a password."""
        self._place = place
        self._parts = urlsplit(place)
        self._timeout_s = timeout_s
        self._known = known
        self._status = 0
        self._ended: NoPictureError | None = None
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._camera = self._connect()
        self._sockets.append(self._camera)
        self._door = socket.create_server((LOOPBACK, 0), backlog=1)
        self._door.settimeout(self._timeout_s)
        self._sockets.append(self._door)
        self._start(self._serve)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()
        for thread in self._threads:
            thread.join(CLOSE_S)

    @property
    def place(self) -> str:
        """Where the player finds the stream."""
        path = self._parts.path + (f"?{self._parts.query}" if self._parts.query else "")
        return f"rtsp://{LOOPBACK}:{self._door.getsockname()[1]}{path}"

    def failure(self, *, seen: bool) -> NoPictureError:
        """Say why there is no picture, or no more of them."""
        if self._ended is not None:
            return self._ended
        answers = self._status >= BAD or (self._status > 0 and not seen)
        if self._status == UNAUTHORIZED:
            said = "refuses our user and password; correct them" if self._known else "asks for user and password"
        elif self._status == MISSING:
            said = "has no such stream; correct the path of the url"
        elif self._status >= BAD:
            said = f"refuses the stream (RTSP {self._status})"
        else:
            said = "has no picture that can be decoded; take H.264 or JPEG" if answers else "has hung up"
        return NoPictureError(f"{self._place} {said}", answers=answers)

    def _connect(self) -> socket.socket:
        host, port = self._parts.hostname or "", self._parts.port or PORTS[self._parts.scheme]
        try:
            link = socket.create_connection((host, port), self._timeout_s)
            if self._parts.scheme == "rtsps":
                return ssl.create_default_context().wrap_socket(link, server_hostname=host)
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            said = getattr(error, "verify_message", "") or error.strerror or type(error).__name__
            raise NoPictureError(f"{self._place} cannot be reached ({said})", answers=False) from None
        return link

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        """Take the player in and carry what the camera says, until one of them goes."""
        try:
            self._player, _ = self._door.accept()
            self._sockets.append(self._player)
            self._player.settimeout(self._timeout_s)
            self._start(self._ask)
            with self._camera.makefile("rb") as said:
                while first := said.read(1):
                    self._player.sendall(self._packet(said) if first == b"$" else self._answer(first, said))
        except TimeoutError:
            self._ended = self._ended or self._silent()
        except NoPictureError as error:
            self._ended = self._ended or error
        except OSError:
            pass  # one of the two has gone
        self._hang_up()

    def _ask(self) -> None:
        """Carry what the player asks."""
        while True:
            try:
                if not (asked := self._player.recv(CHUNK_BYTES)):
                    break
                self._camera.sendall(asked)
            except TimeoutError:
                continue  # a player that looks has nothing to ask
            except OSError:
                break
        self._hang_up()

    def _packet(self, said: BinaryIO) -> bytes:
        head = said.read(3)
        return b"$" + head + said.read(int.from_bytes(head[1:], "big"))

    def _answer(self, first: bytes, said: BinaryIO) -> bytes:
        """Read one answer and write it anew; raises NoPictureError for what is none or leads elsewhere."""
        lines = [self._line(said, first)]
        found = STATUS.fullmatch(lines[0])
        if found is None:
            raise self._nonsense()
        self._status = int(found[1])
        if ELSEWHERE <= self._status < BAD:
            raise NoPictureError(
                f"{self._place} sends us to another place, where we do not go; write that url", answers=True
            )
        length = 0
        while line := self._line(said):
            header = HEADER.fullmatch(line)
            if header is None or len(lines) > LINES_MAX:
                raise self._nonsense()
            name = header[1].lower()
            if name == b"content-length":
                if not header[2].isdigit() or length or (length := int(header[2])) > BODY_BYTES_MAX:
                    raise self._nonsense()
            elif name != b"location":
                lines.append(line)
        lines += [b"Content-Length: %d" % length] if length else []
        return b"\r\n".join([*lines, b"", b""]) + said.read(length)

    def _line(self, said: BinaryIO, first: bytes = b"") -> bytes:
        line = first if first == b"\n" else first + said.readline(LINE_BYTES_MAX)
        if not line.endswith(b"\n"):
            raise self._nonsense()
        return line.rstrip(b"\r\n")

    def _silent(self) -> NoPictureError:
        return NoPictureError(f"{self._place} does not answer within {self._timeout_s:g} s", answers=False)

    def _nonsense(self) -> NoPictureError:
        return NoPictureError(f"something answers at {self._place}, but it does not speak RTSP", answers=False)

    def _hang_up(self) -> None:
        for link in tuple(self._sockets):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
