"""What passes between the gateway and the process that watches a camera: one JSON object a line.

The process decodes what strangers send; nothing that it says is believed before it fits these shapes.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rules.model.event import STILL_BYTES_MAX
from rules.model.watch import Watch

LINE_BYTES_MAX = STILL_BYTES_MAX * 4 // 3 + 4096
REASON_CHARACTERS_MAX = 300


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(_Message):
    """What to watch; the first line to the process.  ``place`` is the URL of the stream, without a password."""

    camera: str
    place: str
    user: str | None
    password: Annotated[str | None, Field(repr=False)]
    timeout_s: float
    watch: Watch
    timezone: str
    clips: Path | None  # None: no clips
    ahead_s: float  # by which the gateway's clock is ahead of this machine's


class Trying(_Message):
    """The stream is about to be opened."""

    kind: Literal["trying"] = "trying"


class Lost(_Message):
    """There is no picture; the next try comes in ``wait_s``.  ``answers``: somebody is there who speaks RTSP."""

    kind: Literal["lost"] = "lost"
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)]
    answers: bool
    wait_s: Annotated[float, Field(ge=0, le=60)]


class Seen(_Message):
    """A picture was judged."""

    kind: Literal["seen"] = "seen"
    per_s: Annotated[float, Field(ge=0, le=1000)]
    frozen: bool
    dark: bool
    covered: bool
    moved: bool
    motion: bool
    line: bool
    intrusion: bool


class Snapped(_Message):
    """A still was taken."""

    kind: Literal["snapped"] = "snapped"
    id: UUID
    at: datetime
    cause: Literal["motion", "line", "zone", "fault"]
    jpeg: Annotated[Base64Bytes, Field(max_length=LINE_BYTES_MAX)]


class Unkept(_Message):
    """A clip could not be kept."""

    kind: Literal["unkept"] = "unkept"
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)]


Message = Trying | Lost | Seen | Snapped | Unkept
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


class NonsenseError(ValueError):
    """A line that is no message."""


def parse(line: bytes) -> Message:
    """Read one line of the process; raises NonsenseError."""
    try:
        return _MESSAGE.validate_json(line)
    except ValidationError:
        raise NonsenseError("the process that watches the camera said something that makes no sense") from None


def line_of(message: BaseModel) -> bytes:
    """Write a message as a line."""
    return message.model_dump_json().encode() + b"\n"
