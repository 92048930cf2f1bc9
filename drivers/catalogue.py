"""Which protocols there are: the profiles of their devices and the drivers of their lines."""

from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from drivers.bacnet.line import BacnetDriver
from drivers.bacnet.profile import BacnetProfile
from drivers.camera.line import CameraDriver
from drivers.camera.profile import CameraProfile
from drivers.cjt188.line import Cjt188Driver
from drivers.cjt188.profile import Cjt188Profile
from drivers.dlt645.line import Dlt645Driver
from drivers.dlt645.profile import Dlt645Profile
from drivers.driver import Driver
from drivers.mbus.line import MbusDriver
from drivers.mbus.profile import MbusProfile
from drivers.modbus.line import ModbusDriver
from drivers.modbus.profile import ModbusProfile
from drivers.onvif.line import OnvifDriver
from drivers.onvif.profile import OnvifProfile
from drivers.opcua.line import OpcuaDriver
from drivers.opcua.profile import OpcuaProfile
from drivers.osdp.line import OsdpDriver
from drivers.osdp.profile import OsdpProfile
from drivers.profile import InvalidProfileError, Profile, check, toml
from drivers.sparkplug.profile import SparkplugProfile
from rules.model.line import (
    AnyLine,
    BacnetLine,
    CameraLine,
    Cjt188Line,
    Dlt645Line,
    MbusLine,
    ModbusLine,
    OnvifLine,
    OpcuaLine,
    OsdpLine,
)

NEAR_MOST = 4
PROFILE_BYTES_MAX = 4 * 1024 * 1024
MODBUS = "modbus"  # what a profile speaks that does not say it
PROFILES: Mapping[str, type[Profile]] = {
    MODBUS: ModbusProfile,
    "dlt645": Dlt645Profile,
    "cjt188": Cjt188Profile,
    "mbus": MbusProfile,
    "bacnet": BacnetProfile,
    "camera": CameraProfile,
    "onvif": OnvifProfile,
    "opcua": OpcuaProfile,
    "osdp": OsdpProfile,
    "sparkplug": SparkplugProfile,
}
DRIVERS: Mapping[type, Callable[[Any, Callable[[], datetime]], Driver]] = {
    ModbusLine: ModbusDriver,
    BacnetLine: BacnetDriver,
    Dlt645Line: Dlt645Driver,
    Cjt188Line: Cjt188Driver,
    MbusLine: MbusDriver,
    OnvifLine: OnvifDriver,
    OpcuaLine: OpcuaDriver,
    OsdpLine: OsdpDriver,
}


class NoDriverError(ValueError):
    """There is no driver for a line; one sentence."""


def driver_of(line: AnyLine, now: Callable[[], datetime], keep: Path | None = None) -> Driver:
    """Give the driver of a line; ``now`` stamps the readings.  Raises NoDriverError.

    ``keep`` is a folder for what a driver keeps on disk (clips of cameras); None: nothing is kept.
    """
    if isinstance(line, CameraLine):
        return CameraDriver(line, now, keep)
    made = DRIVERS.get(type(line))
    if made is None:
        raise NoDriverError(f"line '{line.code}': there is no driver for {line.driver} yet")
    return made(line, now)


def parse(text: str, name: str) -> Profile:
    """Read a profile; raises InvalidProfileError with one sentence that names the place."""
    data = toml(text, name)
    protocol = data.get("protocol", MODBUS)
    shape = PROFILES.get(protocol) if isinstance(protocol, str) else None
    if shape is None:
        raise InvalidProfileError(
            f"profile '{name}': there is no protocol {protocol!r}; there are {', '.join(PROFILES)}"
        )
    return check(shape, data, name)


def names() -> list[str]:
    """All shipped profiles."""
    folder = resources.files("drivers") / "profiles"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def load(name: str, beside: Path | None = None) -> Profile:
    """Give a profile by its code: a site's own from the folder ``profiles`` beside its file, else a shipped one.

    Raises InvalidProfileError.
    """
    own = beside / "profiles" / f"{name}.toml" if beside is not None else None
    if own is None or not own.is_file():
        return _shipped(name)
    try:
        if own.stat().st_size > PROFILE_BYTES_MAX:
            raise InvalidProfileError(f"profile '{name}': {own} is larger than {PROFILE_BYTES_MAX} bytes")
        return parse(own.read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError):
        raise InvalidProfileError(f"profile '{name}': {own} cannot be read as UTF-8 text") from None


@cache
def _shipped(name: str) -> Profile:
    known = names()
    if name not in known:
        near = get_close_matches(name, known, NEAR_MOST) or known[:NEAR_MOST]
        raise InvalidProfileError(f"there is no profile '{name}'; of the {len(known)} near it are {', '.join(near)}")
    file = resources.files("drivers") / "profiles" / f"{name}.toml"
    return parse(file.read_text(encoding="utf-8"), name)
