"""The form of an answer: JSON, CSV or XLSX by ``?format=`` or ``Accept``; not sent again where it is known already."""

import gzip
import hashlib
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from hub.errors import HubError

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
GZIP_BYTES_MIN = 1_000
GZIP_LEVEL = 1  # most of what there is to gain, at a fifth of the time
ACCEPT_CHARACTERS_MAX = 1_000
VARY = {"Vary": "Accept, Accept-Encoding"}


class NotAcceptableError(HubError):
    """Something else is asked for than there is."""

    status = 406


class Form(StrEnum):
    """The forms of an answer."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"


TYPES = {Form.JSON: "application/json", Form.CSV: "text/csv", Form.XLSX: XLSX_TYPE}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about the form of its answer."""

    form: Form
    known: str  # If-None-Match
    gzip: bool


def asked(
    request: Request,
    form: Annotated[
        Form | None, Query(alias="format", description="json, csv or xlsx; else what Accept says.", examples=["csv"])
    ] = None,
) -> Asked:
    """Give the form that is asked for; raises NotAcceptableError."""
    encodings = request.headers.get("accept-encoding", "").lower()
    packed = "gzip" in encodings and "gzip;q=0" not in encodings.replace(" ", "")
    return Asked(form or _accepted(request.headers.get("accept", "")), request.headers.get("if-none-match", ""), packed)


def _accepted(said: str) -> Form:
    wanted: list[tuple[float, Form]] = []
    for part in said[:ACCEPT_CHARACTERS_MAX].split(","):
        kind, _, parameters = part.partition(";")
        wanted += [(_weight(parameters), form) for form in Form if kind.strip().lower() in (TYPES[form], "*/*")]
        wanted += [(_weight(parameters), Form.JSON)] if kind.strip().lower() == "application/*" else []
        wanted += [(_weight(parameters), Form.CSV)] if kind.strip().lower() == "text/*" else []
    if not said.strip():
        return Form.JSON
    best = max((weight for weight, _ in wanted), default=0.0)
    if best <= 0:
        raise NotAcceptableError("Plantroom answers this in JSON, CSV or XLSX; ask for one of them.")
    return next(form for form in Form if (best, form) in wanted)


def _weight(parameters: str) -> float:
    """Give the weight of ``;q=0.5`` in thousandths (RFC 9110, 12.4.2); what cannot be read counts as 1."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q" and value.replace(".", "", 1).isascii() and value.replace(".", "", 1).isdigit():
            return float(value)
    return 1.0


def answer(wanted: Asked, body: dict[str, Any], *, mark: object = None) -> Response:
    """Give a JSON answer with its ETag, packed where that is understood; 304 without it where it is known already.

    ``mark`` is what the ETag is made of, where the body holds something that changes by itself (an age).
    """
    text = _json(body)
    tag = f'W/"{hashlib.sha256(text if mark is None else _json(mark)).hexdigest()[:32]}"'
    headers = {"ETag": tag, **VARY}
    known = [one.strip().removeprefix("W/") for one in wanted.known.split(",")]
    if tag.removeprefix("W/") in known or wanted.known.strip() == "*":
        return Response(status_code=304, headers=headers)
    if wanted.gzip and len(text) >= GZIP_BYTES_MIN:
        text = gzip.compress(text, GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(text, media_type="application/json", headers=headers)


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_said, allow_nan=False).encode()


def _said(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def iso(at: datetime) -> str:
    """Give a time in UTC, as exact as it is stored."""
    text = at.astimezone(UTC).isoformat(timespec="microseconds" if at.microsecond % 1_000 else "milliseconds")
    return text.replace("+00:00", "Z")


def file(wanted: Asked, name: str, parts: AsyncIterator[bytes]) -> Response:
    """Give a file to keep, piece by piece as it is made; CSV is packed where that is understood."""
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M}"
    headers = {"Content-Disposition": f'attachment; filename="{name}-{stamp}.{wanted.form}"', **VARY}
    if wanted.form is Form.CSV and wanted.gzip:
        parts, headers["Content-Encoding"] = _packed(parts), "gzip"
    kind = "text/csv; charset=utf-8" if wanted.form is Form.CSV else TYPES[wanted.form]
    return StreamingResponse(parts, media_type=kind, headers=headers)


async def _packed(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)
    async for part in parts:
        if packed := packer.compress(part):
            yield packed
    yield packer.flush()
