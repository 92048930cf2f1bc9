"""Cursors of pages: where the page before ended, as a word that says nothing to whoever sends it back.

A cursor names the last thing that was given, not how many there were, so what arrives meanwhile shifts nothing.
It opens nothing: the question comes with it again, and so does the right to ask.
"""

import base64
import binascii
import hashlib
import json
from datetime import datetime

from hub.errors import InvalidError

CURSOR_CHARACTERS_MAX = 600
QUESTION_BYTES = 6
NOT_OURS = "This cursor was not given by Plantroom; start without one, and send back what 'next' says."
ANOTHER = "This cursor belongs to another question; ask the same question as for the page before, or start without it."


def cursor(question: object, *last: str | datetime) -> str:
    """Give the cursor of the page after ``last`` in the answer to ``question``."""
    said = [one.isoformat() if isinstance(one, datetime) else one for one in last]
    packed = json.dumps([_mark(question), *said], ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def opened(text: str, question: object, parts: int) -> list[str]:
    """Give the ``parts`` that a cursor names; raises InvalidError for one that is not of this question."""
    try:
        packed = base64.b64decode(text[:CURSOR_CHARACTERS_MAX] + "=" * (-len(text) % 4), b"-_", validate=True)
        said = json.loads(packed)
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidError(NOT_OURS) from None
    if not isinstance(said, list) or len(said) != parts + 1 or not all(isinstance(one, str) for one in said):
        raise InvalidError(NOT_OURS)
    if said[0] != _mark(question):
        raise InvalidError(ANOTHER)
    return said[1:]


def moment(text: str) -> datetime:
    """Give a moment of a cursor; raises InvalidError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(NOT_OURS) from None
    if at.tzinfo is None:
        raise InvalidError(NOT_OURS)
    return at


def _mark(question: object) -> str:
    return hashlib.sha256(repr(question).encode()).hexdigest()[: 2 * QUESTION_BYTES]
