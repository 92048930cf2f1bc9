"""Pictures of a camera: fetched within bounds, decoded and written anew, small enough for one frame."""

import io
import struct
import zlib

from PIL import Image

from drivers.errors import DriverError, MalformedError
from drivers.onvif.device import OnvifDevice
from rules.model.event import STILL_BYTES_MAX

SNAPSHOT_BYTES_MAX = 8_000_000
PIXELS_MAX = 40_000_000
SIDES = (1920, 1280, 960, 640, 320)  # tried from the largest until the picture is small enough
QUALITIES = (85, 70, 50)
FORMATS = ("JPEG", "PNG")
HTTP_OK = 200
# What Pillow raises for files that are broken or made to break it.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)


async def snapshot_uri(device: OnvifDevice) -> str:
    """Give where the camera's picture is, by its first media profile; raises ``drivers.errors``."""
    answer = await device.call("media", "GetSnapshotUri", ProfileToken=await _profile(device))
    return device.transport.here(answer.said("MediaUri", "Uri"))


async def stream_uri(device: OnvifDevice) -> str:
    """Give the address of the camera's video as it says it, by its first media profile; raises ``drivers.errors``."""
    setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
    answer = await device.call("media", "GetStreamUri", StreamSetup=setup, ProfileToken=await _profile(device))
    return answer.said("MediaUri", "Uri")


async def fetch(device: OnvifDevice, uri: str) -> bytes:
    """Give the bytes at a snapshot's address; raises ``drivers.errors``."""
    answer = await device.transport.get(uri, SNAPSHOT_BYTES_MAX)
    if answer.status != HTTP_OK:
        raise DriverError(f"{device.place} gives no picture (HTTP {answer.status})")
    return answer.body


def small(data: bytes) -> bytes:
    """Give a picture as a JPEG of at most STILL_BYTES_MAX with nothing but its pixels; it takes a while: use a thread.

    Raises MalformedError for what is no picture, or is too big to be one.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > PIXELS_MAX:
                raise MalformedError(f"the camera's picture has more than {PIXELS_MAX // 1_000_000} million pixels")
            image = opened.convert("RGB")
    except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise MalformedError("what the camera gives is no picture in JPEG or PNG") from None
    for side in SIDES:
        image.thumbnail((side, side))
        for quality in QUALITIES:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            if file.tell() <= STILL_BYTES_MAX:
                return file.getvalue()
    raise MalformedError("the camera's picture does not get small enough")


async def _profile(device: OnvifDevice) -> str:
    answer = await device.call("media", "GetProfiles")
    token = next((found.attribute("token") for found in answer.all("Profiles")), "")
    if not token:
        raise MalformedError(f"{device.place} has no media profile")
    return token
