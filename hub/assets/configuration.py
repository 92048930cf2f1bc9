"""Which site file a gateway is wanted to go by, and which one it says it goes by."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.assets.rows import CertifiedGateway
from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model import site
from rules.model.excerpt import excerpt
from rules.model.whereabouts import Whereabouts, located
from rules.wire.configuration import Told, digest, wrap

SQL = queries(__package__)

NOTE_CHARACTERS_MAX = 500
PROBLEMS_SAID_MAX = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def configure(tx: Transaction, code: str, gateway: str, text: str, note: str, now: datetime) -> str:
    """Want a gateway to go by a site file; gives its SHA-256 (people are left out of what is kept and sent).

    Raises NotFoundError, InvalidError for a file that is not for this gateway or too large, ConflictError for the one
    that is wanted already.
    """
    if len(note) > NOTE_CHARACTERS_MAX:
        raise InvalidError(f"A note has at most {NOTE_CHARACTERS_MAX} characters; shorten it.")
    body = _checked(code, gateway, text)
    found = await tx.maybe(CertifiedGateway, SQL["lock_gateway"], {"site": code, "gateway": gateway})
    if found is None:
        raise NotFoundError(f"There is no gateway '{gateway}' at the site '{code}'; register its site file first.")
    sha256 = digest(body)
    before: str | None = await tx.value(SQL["wanted_sha256"], {"gateway": found.id})
    if before == sha256 and await tx.value(SQL["goes_by"], {"gateway": found.id}) == sha256:
        raise ConflictError(f"{code}/{gateway} goes by just this file already.")
    number = (now - _EPOCH) // timedelta(milliseconds=1)
    wanted = {"gateway": found.id, "number": number, "sha256": sha256, "body": body, "note": note, "now": now}
    await tx.run(SQL["put_configuration"], wanted)
    details = {"sha256": sha256, "before": before, "number": number, "note": note}
    await audit.record(tx, "configured", "gateway", found.id, details)
    return sha256


async def note_state(tx: Transaction, code: str, gateway: str, told: Told, now: datetime) -> bool:
    """Keep what a gateway says of its configuration; gives whether it is news."""
    found = await tx.maybe(CertifiedGateway, SQL["lock_gateway"], {"site": code, "gateway": gateway})
    if found is None:
        return False
    said: dict[str, Any] = {
        "number": told.number, "sha256": told.sha256, "state": told.state.value, "reason": told.reason,
    }  # fmt: skip
    if await tx.value(SQL["put_configuration_state"], {"gateway": found.id, "now": now, **said}) is None:
        return False
    await audit.record(tx, "goes by a configuration", "gateway", found.id, said)
    return True


def _checked(code: str, gateway: str, text: str) -> str:
    try:
        data = tomllib.loads(text)
        body = excerpt(text)
        wrap(1, body)
    except tomllib.TOMLDecodeError as error:
        raise InvalidError(f"The file is not valid TOML: {str(error).rstrip('.')}.") from None
    except ValueError as error:
        raise InvalidError(str(error)) from None
    file = _parsed(data, text)
    if file.site.code != code or gateway not in {one.code for one in file.gateway}:
        there = ", ".join(f"{file.site.code}/{one.code}" for one in file.gateway) or "no gateway"
        raise InvalidError(f"The file is for {there}, not for {code}/{gateway}.")
    return body


def _parsed(data: Mapping[str, Any], text: str) -> site.SiteFile:
    try:
        return site.parse(data)
    except site.InvalidSiteError as error:
        places = Whereabouts(text)
        said = [located(problem, places) for problem in error.problems[:PROBLEMS_SAID_MAX]]
        raise InvalidError(f"The file cannot be used: {' '.join(said)}") from None
