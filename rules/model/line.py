"""Lines of a site file: one physical connection each, with the manners of its protocol.

An address of a device is written as its protocol has it; ``address_fault`` says what is wrong with one.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from rules.model.part import Code, Part

Host = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Serial(Part):
    """A serial port of the gateway: a path, since the serial library takes names like ``spy://`` that write files."""

    port: Annotated[str, StringConstraints(min_length=2, max_length=255, pattern=r"^/\S+$")]
    baud: Annotated[int, Field(ge=300, le=1_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "E"
    data_bits: Literal[7, 8] = 8
    stop_bits: Literal[1, 2] = 1


class _Line(Part):
    code: Code
    gateway: Code
    poll_s: Annotated[float, Field(ge=0.2, le=3600)]
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 1.0


class _Wire(_Line):
    """Bytes over a serial port, or over TCP to something that passes them on."""

    host: Host | None = None
    port: Port | None = None
    serial: Serial | None = None
    delay_s: Annotated[float, Field(ge=0, le=5)] = 0.0  # silence before each request, for slow converters

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.host is None) == (self.serial is None):
            raise ValueError("a line has either a host or a serial port; write one of them")
        if self.host is not None and self.port is None:
            raise ValueError("a line with a host needs a port (Modbus TCP: 502)")
        return self

    @property
    def place(self) -> str:
        """Where the line leads, in words."""
        return self.serial.port if self.serial is not None else f"{self.host}:{self.port}"


class ModbusLine(_Wire):
    """Modbus TCP, RTU on a serial port, or RTU frames through TCP (``framing`` = "rtu" with a host).

    ``connect_delay_s`` is how long a converter needs after the connection before it passes anything on; ``echoes`` is
    false for a gateway that does not repeat the transaction number of the question.
    """

    driver: Literal["modbus"]
    framing: Literal["tcp", "rtu"] | None = None  # None: tcp with a host, rtu with a serial port
    connect_delay_s: Annotated[float, Field(ge=0, le=30)] = 0.0
    echoes: bool = True

    @model_validator(mode="after")
    def _framed(self) -> Self:
        if self.serial is not None and self.framing == "tcp":
            raise ValueError("a serial port carries rtu frames; leave framing out")
        if self.rtu and not self.echoes:
            raise ValueError("rtu frames have no transaction number; leave echoes out")
        return self

    @property
    def rtu(self) -> bool:
        """Whether frames are those of a serial line."""
        return self.serial is not None or self.framing == "rtu"


class BacnetLine(_Line):
    """BACnet/IP through one network interface of the gateway.

    ``interface`` is the gateway's own address with prefix and port (10.0.0.5/24:47808); with ``bbmd`` the gateway
    registers there as a foreign device.
    """

    driver: Literal["bacnet"]
    interface: Annotated[str, StringConstraints(pattern=r"^[0-9.]+(/[0-9]{1,2})?(:[0-9]{1,5})?$")]
    instance: Annotated[int, Field(ge=0, le=4_194_302)] = 4_194_000  # our own device number
    bbmd: Annotated[str, StringConstraints(pattern=r"^[0-9.]+(:[0-9]{1,5})?$")] | None = None
    bbmd_ttl_s: Annotated[int, Field(ge=30, le=3600)] = 300

    @property
    def place(self) -> str:
        """Where the line leads, in words."""
        return self.interface


class OpcuaLine(_Line):
    """One OPC UA server.  ``certificate`` and ``key`` are ours, ``trust`` holds the server's; paths on the gateway.

    The password of ``user`` is not in this file: it is the credential ``opcua-<code>-password``.
    """

    driver: Literal["opcua"]
    url: Annotated[str, StringConstraints(pattern=r"^opc\.tcp://[^\s@]+$", max_length=500)]
    security: Literal["none", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = "none"
    mode: Literal["sign", "sign_and_encrypt"] = "sign_and_encrypt"
    certificate: str | None = None
    key: str | None = None
    trust: str | None = None
    user: str | None = None
    publish_s: Annotated[float, Field(ge=0.05, le=60)] = 1.0

    @property
    def place(self) -> str:
        """Where the line leads, in words."""
        return self.url


class Dlt645Line(_Wire):
    """Chinese electricity meters: DL/T 645-2007."""

    driver: Literal["dlt645"]


class Cjt188Line(_Wire):
    """Chinese water, gas and heat meters: CJ/T 188-2004."""

    driver: Literal["cjt188"]


class MbusLine(_Wire):
    """Wired M-Bus: EN 13757-2 and -3."""

    driver: Literal["mbus"]


class OnvifLine(_Line):
    """One ONVIF device: a camera, or a controller of doors (Profile C).

    The password of ``user`` is the credential ``onvif-<code>-password``.
    """

    driver: Literal["onvif"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+(/\S*)?$", max_length=500)]  # its device service
    user: str | None = None

    @property
    def place(self) -> str:
        """Where the line leads, in words."""
        return self.url


class OsdpLine(_Wire):
    """OSDP (IEC 60839-11-5) readers and doors; the key of a secure channel is the credential ``osdp-<device>-key``."""

    driver: Literal["osdp"]


class CameraLine(_Line):
    """One video stream; the password of ``user`` is the credential ``camera-<code>-password``.

    ``timeout_s`` is how long the stream may be still before it counts as lost.
    """

    driver: Literal["camera"]
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    url: Annotated[str, StringConstraints(pattern=r"^rtsps?://[^\s@]+$", max_length=500)]
    user: str | None = None

    @property
    def place(self) -> str:
        """Where the line leads, in words."""
        return self.url


class SparkplugLine(_Line):
    """Devices of a gateway of another maker, which sends Sparkplug B to the hub by itself: nobody polls this line.

    A device's code is its name on the wire; what it declares at its birth becomes its points.
    """

    driver: Literal["sparkplug"]
    poll_s: Annotated[float, Field(ge=0.2, le=3600)] = 60.0  # its own business; kept for the form

    @property
    def place(self) -> str:
        """Where the line leads, in words."""
        return "the gateway's own"


AnyLine = (
    ModbusLine | BacnetLine | OpcuaLine | Dlt645Line | Cjt188Line | MbusLine | OnvifLine | OsdpLine | CameraLine
    | SparkplugLine
)  # fmt: skip
Line = Annotated[AnyLine, Field(discriminator="driver")]
Wire = ModbusLine | Dlt645Line | Cjt188Line | MbusLine

MODBUS_ADDRESS_MAX = 247
MODBUS_TCP_ADDRESS_MAX = 255  # a device with a TCP port of its own is often 255 or 0
BACNET_INSTANCE_MAX = 4194302
MBUS_PRIMARY_MAX = 250
OSDP_MAX = 126
TOKEN_CHARACTERS_MAX = 64


def _modbus(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= MODBUS_ADDRESS_MAX


def _modbus_tcp(text: str) -> bool:
    return text.isdecimal() and int(text) <= MODBUS_TCP_ADDRESS_MAX


def _bacnet(text: str) -> bool:
    found = re.fullmatch(r"(\d{1,7})(@[0-9.]+(:\d{1,5})?)?", text)
    return found is not None and int(found[1]) <= BACNET_INSTANCE_MAX


def _mbus(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9A-Fa-f]{16}", text)) or (
        bool(re.fullmatch(r"\d{1,3}", text)) and int(text) <= MBUS_PRIMARY_MAX
    )


_FORMS: dict[str, tuple[Callable[[str], bool], str]] = {
    "modbus": (_modbus, f"a number from 1 to {MODBUS_ADDRESS_MAX}"),
    "modbus-tcp": (_modbus_tcp, f"a number from 0 to {MODBUS_TCP_ADDRESS_MAX}"),
    "bacnet": (_bacnet, "a device number, with its address after an @ where Who-Is does not find it (1001@10.0.0.7)"),
    "opcua": (lambda text: not text, "left out: the server is the device"),
    "dlt645": (lambda text: bool(re.fullmatch(r"\d{1,12}", text)), "the meter's number, up to 12 digits"),
    "cjt188": (lambda text: bool(re.fullmatch(r"[0-9A-Fa-f]{1,14}", text)), "the meter's number, up to 14 digits"),
    "onvif": (lambda text: len(text) <= TOKEN_CHARACTERS_MAX, "left out for a camera, or the token of a door"),
    "osdp": (lambda text: text.isdecimal() and int(text) <= OSDP_MAX, f"a number from 0 to {OSDP_MAX}"),
    "camera": (lambda text: not text, "left out: the stream is the device"),
    "sparkplug": (lambda text: not text, "left out: the device's code is its name on the wire"),
    "mbus": (_mbus, f"a primary address up to {MBUS_PRIMARY_MAX} or a secondary one of 16 digits"),
}


def address_fault(line: AnyLine, address: str) -> str:
    """Give what the address of a device on this line has to be; '' if it is that."""
    tcp = isinstance(line, ModbusLine) and not line.rtu
    right, form = _FORMS["modbus-tcp" if tcp else line.driver]
    return "" if right(address) else form
