"""Give commands: what may be set, by whom, with a reason, and with a second person where it is critical.

A command is a row that commits with its record; ``outbox`` says what is to be sent, and takes the answers.
"""

import math
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hub.access.rights import Right
from hub.approvals import service as approvals
from hub.approvals.rows import Subject
from hub.audit import service as audit
from hub.commands.rows import Allowed, Command, Wish
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.site import SiteFile

SQL = queries(__package__)
KIND = "command"  # of subject, in the flows
LIFE = timedelta(minutes=1)  # who waits longer looks again at the plant before he sets anything
COMMANDS_MAX = 20  # of one person within RATE_TIME
RATE_TIME = timedelta(minutes=1)
LISTED_MAX = 20
REASON_CHARACTERS_MAX = 500
FORBIDDEN = "Your role does not include setting points; ask an engineer."
TOO_OFTEN = f"You have given {COMMANDS_MAX} commands within a minute; wait a moment."
WHY = "Say in a few words why; this point is critical, and who agrees has to know."
TOO_LONG = f"A reason has at most {REASON_CHARACTERS_MAX} characters; shorten it."
USED = "This id was used for another command; take a new one."
NO_POINT = "This point cannot be set from here; the site file says what may be set."
BY_A_PERSON = "This point is critical; somebody asks for it on its page, not a program with a token."
NOT_ASKED = "This command no longer waits for anybody; give it anew if it is still wanted."
NOT_YOURS = "Who asked for this command gives it; ask him, or give one of your own."
NOT_SECONDED = "Nobody but you has agreed to this; let the flow for commands ask a second person."


async def register(tx: Transaction, site: UUID, file: SiteFile) -> None:
    """Enter what may be set at a site; what the file no longer allows is taken away."""
    before = {one.point: one for one in await allowances(tx, site)}
    drivers = {line.code: line.driver for line in file.line}
    lines = {device.code: device.line for device in file.device}
    rows = [
        {
            "site": site, "device": one.device, "measure": one.measure, "low": one.low, "high": one.high,
            "every_s": one.every_s, "critical": one.critical,
            "gives_back": drivers[lines[one.device]] == "bacnet",  # the protocol whose devices know priorities
        }
        for one in file.allowed
    ]  # fmt: skip
    await tx.run(SQL["drop_allowances"], {"site": site, "points": [one.point for one in file.allowed]})
    if rows:
        await tx.run_many(SQL["put_allowance"], rows)
    after = {one.point: one for one in await allowances(tx, site)}
    changed = {
        point: [_said(before.get(point)), _said(after.get(point))]
        for point in sorted(before.keys() | after.keys())
        if _said(before.get(point)) != _said(after.get(point))
    }
    if changed:
        await audit.record(tx, "changed", "allowances", site, {"changed": changed})


def _said(one: Allowed | None) -> str:
    if one is None:
        return ""
    return f"{one.low:g} to {one.high:g}, every {one.every_s:g} s{', critical' if one.critical else ''}"


async def allowances(tx: Transaction, site: UUID | None = None) -> list[Allowed]:
    """Give what may be set (at one site)."""
    return await tx.all(Allowed, SQL["allowances"], {"site": site, "device": None, "measure": None})


async def allowed(tx: Transaction, point: str) -> Allowed | None:
    """Give what a point may be set to; None where it may not be set."""
    device, _, measure = point.rpartition(".")
    return await tx.maybe(Allowed, SQL["allowances"], {"site": None, "device": device, "measure": measure})


async def give(tx: Transaction, wish: Wish, now: datetime) -> Command:
    """Give a command, or ask a second person about a critical one; the same wish again gives the same command.

    Raises ForbiddenError, NotFoundError for a point that may not be set, InvalidError, or ConflictError for an id that
    was used, or too many commands.
    """
    if not tx.actor.may(Right.COMMAND_POINTS):
        raise ForbiddenError(FORBIDDEN)
    known = await find(tx, wish.id)
    if known is not None:
        return _same(known, wish, tx.actor.name)
    one, reason = await _checked(tx, wish)
    if one.critical and not tx.actor.may(Right.REQUEST_APPROVAL):
        raise ForbiddenError(BY_A_PERSON)  # a token's owner could second what his own token asks
    await _unhurried(tx, one, now)
    issued = None if one.critical else now
    values = {
        "id": wish.id, "device": one.device_id, "measure": one.measure, "value": wish.value, "reason": reason,
        "critical": one.critical, "by": tx.actor.name, "now": now, "issued": issued,
        "expires": None if issued is None else issued + LIFE, "state": "asked" if one.critical else "given",
    }  # fmt: skip
    if not await tx.run(SQL["add"], values):
        raise ConflictError(USED)
    details: dict[str, object] = {"point": one.point, "value": wish.value, "unit": one.unit}
    if one.critical:
        number = await approvals.submit(tx, _subject(one, wish.id, wish.value, reason), now)
        await tx.run(SQL["note_approval"], {"id": wish.id, "approval": number})
        details["approval"] = number
    await audit.record(tx, "asked for" if one.critical else "gave", "command", wish.id, details, reason=reason)
    return await command(tx, wish.id)


async def give_approved(tx: Transaction, command_id: UUID, now: datetime) -> Command:
    """Give a critical command to which a second person has agreed; what was agreed to is spent with it.

    Given already, it is only shown.  Raises NotFoundError, ForbiddenError, InvalidError or ConflictError.
    """
    if not tx.actor.may(Right.COMMAND_POINTS):
        raise ForbiddenError(FORBIDDEN)
    held = await tx.value(SQL["hold"], {"id": command_id})
    found = await command(tx, command_id)
    if found.given_by != tx.actor.name:
        raise ConflictError(NOT_YOURS)
    if held is None:
        if found.issued_at is not None:
            return found
        raise ConflictError(NOT_ASKED)
    one, reason = await _checked(tx, Wish(found.id, found.point, found.value, found.reason))
    await approvals.require(tx, _subject(one, found.id, found.value, reason), now)
    async with tx.unconfined():
        second = await tx.value(SQL["seconded_by"], {"approval": found.approval, "by": found.given_by})
    if second is None:
        raise ConflictError(NOT_SECONDED)
    await tx.run(SQL["issue"], {"id": found.id, "seconded_by": second, "now": now, "expires": now + LIFE})
    details = {"point": one.point, "value": found.value, "unit": one.unit, "seconded_by": second}
    await audit.record(tx, "gave", "command", found.id, details, reason=reason)
    return await command(tx, found.id)


async def find(tx: Transaction, command_id: UUID) -> Command | None:
    """Give a command, None where there is none."""
    return await tx.maybe(Command, SQL["commands"], {"id": command_id, "device": None, "measure": None, "most": 1})


async def command(tx: Transaction, command_id: UUID) -> Command:
    """Give a command; raises NotFoundError."""
    found = await find(tx, command_id)
    if found is None:
        raise NotFoundError("There is no such command.")
    return found


async def of_point(tx: Transaction, point: str) -> list[Command]:
    """Give the last commands for a point, newest first."""
    device, _, measure = point.rpartition(".")
    return await tx.all(
        Command, SQL["commands"], {"id": None, "device": device, "measure": measure, "most": LISTED_MAX}
    )


async def _checked(tx: Transaction, wish: Wish) -> tuple[Allowed, str]:
    """Give what the point may be set to, and the reason as it is kept; raises NotFoundError or InvalidError."""
    one, reason = await allowed(tx, wish.point), wish.reason.strip()
    if one is None:
        raise NotFoundError(NO_POINT)
    if wish.value is None and not one.gives_back:
        raise InvalidError(f"'{one.point}' cannot be given back: its device knows no priorities; set a value.")
    if wish.value is not None and not (math.isfinite(wish.value) and one.low <= wish.value <= one.high):
        raise InvalidError(f"'{one.point}' may be set from {one.low:g} to {one.high:g} {one.unit}".rstrip() + ".")
    if one.critical and not reason:
        raise InvalidError(WHY)
    if len(reason) > REASON_CHARACTERS_MAX:
        raise InvalidError(TOO_LONG)
    return one, reason


async def _unhurried(tx: Transaction, one: Allowed, now: datetime) -> None:
    await tx.run(SQL["hold_person"], {"login": tx.actor.name})
    if await tx.value(SQL["given_since"], {"login": tx.actor.name, "since": now - RATE_TIME}) >= COMMANDS_MAX:
        raise ConflictError(TOO_OFTEN)
    last: datetime | None = await tx.value(SQL["last_issued"], {"device": one.device_id, "measure": one.measure})
    if last is not None and now - last < timedelta(seconds=one.every_s):
        wait_s = math.ceil((timedelta(seconds=one.every_s) - (now - last)).total_seconds())
        raise ConflictError(f"'{one.point}' was set a moment ago; wait {wait_s} s.")


def _same(known: Command, wish: Wish, login: str) -> Command:
    asked = (known.point, known.value, known.reason, known.given_by)
    if asked != (wish.point, wish.value, wish.reason.strip(), login):
        raise ConflictError(USED)
    return known


def _subject(one: Allowed, command_id: UUID, value: float | None, reason: str) -> Subject:
    """Give what the second person agrees to: just this command."""
    wanted = "" if value is None else f"{value:g} {one.unit}".strip()
    zh = f"{one.point} 设为 {wanted}" if wanted else f"{one.point} 交还设备自控"
    en = f"Set {one.point} to {wanted}" if wanted else f"Give {one.point} back to its own control"
    content = {
        "point": one.point, "value": None if value is None else Decimal(repr(value)), "unit": one.unit,
        "reason": reason,
    }  # fmt: skip
    return Subject(
        KIND, str(command_id), zh, en, content, site_id=one.site_id, building_id=one.building_id,
        link=f"/points/{one.point}",
    )  # fmt: skip
