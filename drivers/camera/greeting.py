"""A first word with a camera, before its stream is opened: who is there, in a sentence.

FFmpeg says only "no", follows a redirection to any host, and waits long for a server that is frozen.
"""

import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

ANSWER_BYTES_MAX = 65_536
PORT = 554
OK, MOVED, BAD, UNAUTHORIZED, MISSING = 200, 300, 400, 401, 404


class NoPictureError(Exception):
    """There is no picture; one sentence.  ``answers``: somebody is there who speaks RTSP."""

    def __init__(self, message: str, *, answers: bool) -> None:
        super().__init__(message)
        self.answers = answers


def greet(place: str, timeout_s: float, *, known: bool) -> None:
    """Ask for the stream's description; raises NoPictureError.

    ``place`` is the URL without a password; ``known``: we have one, so that being asked for it is no refusal.
    """
    parts = urlsplit(place)
    until_s = time.monotonic() + timeout_s
    request = f"DESCRIBE {place} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: Plantroom\r\n\r\n"
    try:
        with socket.create_connection((parts.hostname or "", parts.port or PORT), timeout_s) as link:
            link.sendall(request.encode())
            head = _head(link, until_s)
    except TimeoutError:
        raise NoPictureError(f"{place} does not answer within {timeout_s:g} s", answers=False) from None
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise NoPictureError(f"{place} cannot be reached ({said})", answers=False) from None
    _judge(head, place, known=known)


def _head(link: socket.socket, until_s: float) -> bytes:
    """Give what comes up to the end of the first line; all of it where there is none."""
    data = b""
    while b"\n" not in data and len(data) < ANSWER_BYTES_MAX:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        link.settimeout(left_s)
        if not (more := link.recv(4096)):
            break
        data += more
    return data


def _judge(head: bytes, place: str, *, known: bool) -> None:
    words = head.partition(b"\n")[0].split(maxsplit=2)
    status = 0
    if len(words) > 1 and words[0].startswith(b"RTSP/"):
        with suppress(ValueError):
            status = int(words[1])
    if not status:
        raise NoPictureError(f"something answers at {place}, but it does not speak RTSP", answers=False)
    if status == UNAUTHORIZED and not known:
        raise NoPictureError(f"{place} asks for a password; write its user and set the credential", answers=True)
    if MOVED <= status < BAD:
        raise NoPictureError(f"{place} sends us to another place, where we do not go; write that url", answers=True)
    if status == MISSING:
        raise NoPictureError(f"{place} has no such stream; correct the path of the url", answers=True)
    if status not in (OK, UNAUTHORIZED):
        raise NoPictureError(f"{place} refuses the stream (RTSP {status})", answers=True)
