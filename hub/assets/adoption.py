"""Take gateways and devices into the register that speak but were not in it, and settle units that have changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from hub.assets import service as assets
from hub.assets.rows import HeldCount, Stranger
from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.part import Code
from rules.model.site import Commodity, Role

SQL = queries(__package__)
STRANGERS_SHOWN_MAX = 500
NAME_CHARACTERS_MAX = 120
FOREIGN_PROFILE = "sparkplug-device"
HEARD_LATELY = timedelta(minutes=2)
MULTIPLIER_MAX = Decimal(1_000_000)
_CODE: TypeAdapter[str] = TypeAdapter(Code)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a person says of a device that is to be taken in, as it was typed."""

    name_zh: str
    name_en: str
    space: str
    role: str
    commodity: str
    multiplier: str
    profile: str


async def strangers(tx: Transaction) -> list[Stranger]:
    """Give who speaks without being registered, the latest first; what somebody ignores is left out."""
    asked = {"site": None, "gateway": None, "device": None, "most": STRANGERS_SHOWN_MAX}
    return await tx.all(Stranger, SQL["strangers"], asked)


async def unsettled(tx: Transaction) -> list[HeldCount]:
    """Give the points whose device says another unit than theirs, with what is held of them."""
    return await tx.all(HeldCount, SQL["unsettled"])


async def stranger(tx: Transaction, site_id: UUID, gateway: str, device: str) -> Stranger:
    """Give one that speaks without being registered; raises NotFoundError."""
    asked = {"site": site_id, "gateway": gateway, "device": device, "most": 1}
    return await tx.one(Stranger, SQL["strangers"], asked, what="unregistered gateway or device")


async def adopt_gateway(tx: Transaction, found: Stranger) -> None:
    """Enter a gateway into the register."""
    await tx.run(SQL["put_gateway"], {"site": found.site_id, "code": _code(found.gateway)})
    await tx.run(SQL["drop_stranger"], {"site": found.site_id, "gateway": found.gateway, "device": ""})
    said = {"site": found.site, "gateway": found.gateway}
    await audit.record(tx, "adopted", "gateway", await _gateway(tx, found), said)


async def adopt_device(tx: Transaction, found: Stranger, said: Adoption, now: datetime) -> None:
    """Enter a device into the register, under the code that its gateway uses; raises InvalidError or ConflictError."""
    code = _code(found.device)
    gateway = await _gateway(tx, found)
    if any(device.code == code for device in await assets.devices(tx)):
        raise ConflictError(f"There is a device '{code}' already; give this one another code on its gateway.")
    row = {"site": found.site_id, "gateway": found.gateway, "code": code, **_checked(said)}
    if not any(space.code == row["space"] for space in await assets.spaces(tx, found.site_id)):
        raise InvalidError("Choose the building, floor or unit where the device stands.")
    await tx.run(SQL["put_device"], row)
    if now - found.last_seen_at < HEARD_LATELY:
        await tx.run(SQL["set_heard"], {"gateway": gateway, "code": code, "now": now})
    await tx.run(SQL["drop_stranger"], {"site": found.site_id, "gateway": found.gateway, "device": found.device})
    device_id = next(device.id for device in await assets.devices(tx, found.site_id) if device.code == code)
    kept = {"code": code, "gateway": found.gateway, "held_frames": found.held, "profile": row["profile"]}
    await audit.record(tx, "adopted", "device", device_id, kept)


async def ignore(tx: Transaction, found: Stranger) -> None:
    """Leave one out of the list for good; what was held of it is dropped."""
    asked = {"site": found.site_id, "gateway": found.gateway, "device": found.device}
    await tx.run(SQL["ignore_stranger"], asked)
    dropped = await tx.run(SQL["drop_held_of"], asked)
    entity = f"{found.site}/{found.gateway}/{found.device}"
    await audit.record(tx, "ignored", "stranger", entity, {"dropped_frames": dropped})


async def accept_unit(tx: Transaction, point_id: int, unit: str) -> None:
    """Let a point have the unit that its device says from now on; raises NotFoundError where none waits for that.

    The readings of before stay as they are: the record says when the unit changed.
    """
    waiting = [one for one in await unsettled(tx) if one.point_id == point_id and one.said == unit]
    if not waiting:
        raise NotFoundError("No reading waits for this unit.")
    await tx.run(SQL["set_unit"], {"point": point_id, "unit": unit})
    details = {"point": waiting[0].point, "unit": {"before": waiting[0].unit, "after": unit}, "held": waiting[0].held}
    await audit.record(tx, "accepted unit", "point", point_id, details)


async def _gateway(tx: Transaction, found: Stranger) -> UUID:
    for gateway in await assets.gateways(tx):
        if gateway.site_id == found.site_id and gateway.code == found.gateway:
            return gateway.id
    raise ConflictError(f"Take in the gateway '{found.gateway}' first.")


def _code(text: str) -> str:
    try:
        return _CODE.validate_python(text)
    except ValidationError:
        raise InvalidError(
            f"'{text[:40]}' is no code (letters, digits, '_', '.', '-', up to 64); name it anew on its gateway."
        ) from None


def _checked(said: Adoption) -> dict[str, object]:
    names = {"name_zh": said.name_zh.strip(), "name_en": said.name_en.strip()}
    if not all(0 < len(name) <= NAME_CHARACTERS_MAX for name in names.values()):
        raise InvalidError(f"Give the device a name in both languages, of up to {NAME_CHARACTERS_MAX} characters.")
    _one_of("role", said.role, list(Role))
    _one_of("commodity", said.commodity, ["", *Commodity])
    try:
        multiplier = Decimal(said.multiplier or "1")
    except InvalidOperation:
        multiplier = Decimal(0)
    if not multiplier.is_finite() or not 0 < multiplier <= MULTIPLIER_MAX or multiplier != round(multiplier, 4):
        raise InvalidError(f"The multiplier is a number above 0 and up to {MULTIPLIER_MAX}, with up to 4 decimals.")
    return {
        **names, "space": said.space, "role": said.role, "commodity": said.commodity or None, "multiplier": multiplier,
        "profile": _code(said.profile.strip() or FOREIGN_PROFILE),
    }  # fmt: skip


def _one_of(what: str, said: str, allowed: Sequence[str]) -> None:
    if said not in allowed:
        raise InvalidError(f"'{said[:20]}' is no {what}; choose one of the list.")
