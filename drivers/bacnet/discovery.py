"""What there is on a BACnet network: devices by Who-Is, and the objects of each with names, units and texts.

Everything is bounded in count and time, whatever a device claims of itself.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from bacpypes3.pdu import Address

from drivers.bacnet import draft as drafting
from drivers.bacnet import units
from drivers.bacnet.answer import NoError, Said, Wanted
from drivers.bacnet.draft import Listed
from drivers.bacnet.lists import Lists
from drivers.bacnet.port import address
from drivers.bacnet.profile import INSTANCE_MAX, WHOLE, WITH_UNITS
from drivers.bacnet.stack import Heard, Stack
from drivers.errors import DriverError, MalformedError, UnreachableError
from rules.model.line import BacnetLine

IP = re.compile(r"\d+(?:\.\d+){3}(?::\d+)?")
DEVICES_MAX = 2000
OBJECTS_MAX = 5000  # of one device that are listed
SCAN_S_MAX = 300.0  # for one device
SCAN_ALL_S_MAX = 3600.0  # for all of them
LISTS_MAX = 10  # objects whose texts are asked in one list: texts are long
WHO_IS_WAIT_S = 3.0
SAME_ERRORS_MAX = 20  # refused objects in a row after which the rest is not asked


@dataclass(frozen=True, slots=True)
class Found:
    """A device that has answered Who-Is, as a site file writes it."""

    instance: int
    at: str
    vendor: int
    apdu_bytes_max: int
    segments: bool


@dataclass(slots=True)
class Content:
    """What one device has; ``remarks`` say in a sentence each what was left out and why."""

    instance: int
    at: str
    name: str = ""
    vendor: str = ""
    model: str = ""
    objects: list[Listed] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class Discovery:
    """Looks around from one port of the gateway; ``close`` lets go of it."""

    def __init__(self, line: BacnetLine, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._stack = Stack(line)
        self._monotonic_s = monotonic_s

    async def close(self) -> None:
        """Let go of the port."""
        await self._stack.close()

    async def devices(
        self, low: int = 0, high: int = INSTANCE_MAX, *, to: str = "", wait_s: float = WHO_IS_WAIT_S
    ) -> list[Found]:
        """Give who answers within ``wait_s``, by number; ``to`` asks one host, else whoever a broadcast reaches.

        One number at two addresses is given twice.  Raises UnreachableError, MisconfiguredError.
        """
        host = address(to) if to else None
        most = 1 if low == high and host is not None else DEVICES_MAX
        heard = await self._stack.who_is(low, high, wait_s=wait_s, most=most, to=host)
        return [_found(one) for one in sorted(heard, key=lambda one: (one.instance, str(one.address)))]

    async def content(self, instance: int, at: str = "") -> Content:
        """Give the objects of a device; raises UnreachableError, MisconfiguredError.

        A device that stops answering half-way, or needs more than SCAN_S_MAX, is given as far as it was read.
        """
        to = await self._stack.find(instance, at)
        content = Content(instance, at or str(to))
        lists = Lists(self._stack, LISTS_MAX, self._monotonic_s)
        try:
            async with asyncio.timeout(SCAN_S_MAX):
                await self._describe(to, lists, content)
                objects = await self._objects(to, lists, content)
                await self._texts(to, lists, objects, content)
        except TimeoutError:
            content.remarks.append(f"the device was not read to its end within {SCAN_S_MAX:.0f} s")
        except UnreachableError:
            if not content.name and not content.objects:
                raise
            content.remarks.append("the device stopped answering before its end")
        return content

    async def _describe(self, to: Address, lists: Lists, content: Content) -> None:
        names = ("object-name", "vendor-name", "model-name")
        [said] = await lists.ask(to, [tuple(Wanted("device", content.instance, name) for name in names)])
        content.name, content.vendor, content.model = (one.text or "" for one in said)

    async def _objects(self, to: Address, lists: Lists, content: Content) -> list[tuple[str, int]]:
        """Give the object list: whole where it comes so, else entry by entry."""
        whole = Wanted("device", content.instance, "object-list")
        try:
            said = await self._stack.read(to, whole)
            if said.objects:
                return _bounded(said.objects, content)
        except (NoError, MalformedError):
            pass  # too long for a device without segments
        count = (await self._size(to, content)).number
        if count is None:
            content.remarks.append("the device does not say which objects it has")
            return []
        if count > OBJECTS_MAX:
            content.remarks.append(f"the device claims {count} objects; the first {OBJECTS_MAX} were asked")
        return await self._by_index(to, lists, content, min(int(count), OBJECTS_MAX))

    async def _size(self, to: Address, content: Content) -> Said:
        try:
            return await self._stack.read(to, Wanted("device", content.instance, "object-list", 0))
        except (NoError, MalformedError) as error:
            return Said(None, str(error))

    async def _by_index(self, to: Address, lists: Lists, content: Content, count: int) -> list[tuple[str, int]]:
        objects: list[tuple[str, int]] = []
        missing = 0
        for first in range(1, count + 1, 2 * LISTS_MAX):
            numbers = range(first, min(first + 2 * LISTS_MAX, count + 1))
            groups = [(Wanted("device", content.instance, "object-list", number),) for number in numbers]
            for [said] in await lists.ask(to, groups):
                missing = 0 if said.objects else missing + 1
                objects += said.objects
            if missing >= SAME_ERRORS_MAX:
                content.remarks.append(f"the object list ends after {len(objects)} of {count} entries")
                break
        return _bounded(objects, content)

    async def _texts(self, to: Address, lists: Lists, objects: Sequence[tuple[str, int]], content: Content) -> None:
        """Ask names, descriptions and units of the objects that hold a number."""
        numeric = [one for one in objects if one[0] in WHOLE]
        others = len([one for one in objects if one[0] not in WHOLE and one[0] != "device"])
        if others:
            content.remarks.append(f"{others} objects hold no number (schedules, files, ...) and were left out")
        for first in range(0, len(numeric), LISTS_MAX):
            part = numeric[first : first + LISTS_MAX]
            groups = [tuple(Wanted(*one, name) for name in _asked(one[0])) for one in part]
            said = await lists.ask(to, groups)
            content.objects += [_listed(one, answers) for one, answers in zip(part, said, strict=True)]


def _asked(type_: str) -> tuple[str, ...]:
    return ("object-name", "description", "units") if type_ in WITH_UNITS else ("object-name", "description")


def _listed(one: tuple[str, int], said: Sequence[Said]) -> Listed:
    name, description = said[0].text or "", said[1].text or ""
    code = said[2].number if len(said) > len(("name", "description")) else units.NO_UNITS
    return Listed(*one, name=name, description=description, units=None if code is None else int(code))


def _bounded(objects: Sequence[tuple[str, int]], content: Content) -> list[tuple[str, int]]:
    if len(objects) > OBJECTS_MAX:
        content.remarks.append(f"the device has {len(objects)} objects; the first {OBJECTS_MAX} were taken")
    once = dict.fromkeys(one for one in objects if one[1] <= INSTANCE_MAX)
    return list(islice(once, OBJECTS_MAX))


def _found(heard: Heard) -> Found:
    return Found(heard.instance, str(heard.address), heard.vendor, heard.apdu_bytes_max, heard.segments)


async def look(
    line: BacnetLine, *, low: int, high: int, to: str, device: int | None
) -> tuple[list[Found], list[Content], list[str]]:
    """Give the devices in reach, what those asked for have, and a sentence for each that could not be read.

    With ``device`` only that one is read; else all that answer are.
    """
    discovery = Discovery(line)
    failures: list[str] = []
    contents: list[Content] = []
    try:
        if device is not None and to:
            found: list[Found] = []
            wanted = [(device, to)]
        else:
            found = await discovery.devices(
                low if device is None else device, high if device is None else device, to=to
            )
            wanted = [(one.instance, one.at) for one in found]
        end_s = time.monotonic() + SCAN_ALL_S_MAX
        for instance, at in wanted:
            if time.monotonic() > end_s:
                failures.append(f"device {instance} and those after it were not read: the scan has taken too long")
                break
            try:
                contents.append(await discovery.content(instance, at))
            except DriverError as error:
                failures.append(f"device {instance} at {at} was not read: {error}")
    finally:
        await discovery.close()
    return found, contents, failures


@dataclass(frozen=True, slots=True)
class Drafted:
    """A device for a site file: its address there, and which of the drafted profiles it has."""

    instance: int
    address: str
    name: str
    profile: str


def draft(contents: Sequence[Content]) -> tuple[dict[str, str], list[Drafted]]:
    """Give profiles as TOML by their code, and the devices that have them; devices that are alike share one."""
    profiles: dict[str, str] = {}
    codes: dict[tuple[object, ...], str] = {}
    devices = []
    for content in (one for one in contents if one.objects):
        shape = (content.vendor, content.model, *((one.object, one.name, one.units) for one in content.objects))
        if shape not in codes:
            name = drafting.code(f"{content.vendor} {content.model}", "bacnet")
            codes[shape] = name if name not in profiles else drafting.code(f"{content.instance} {name}", "bacnet")
            source = f"object list of device {content.instance} as it was scanned"
            title = f"{content.vendor} {content.model}".strip() or content.name or str(content.instance)
            profiles[codes[shape]] = drafting.profile(codes[shape], title, source, content.objects)
        # Behind a router Who-Is finds a device best.
        address = f"{content.instance}@{content.at}" if IP.fullmatch(content.at) else str(content.instance)
        devices.append(Drafted(content.instance, address, drafting.plain(content.name), codes[shape]))
    return profiles, devices
