"""Pictures that people send: told by their content, decoded, and written anew with nothing but their pixels.

What a file claims to be counts for nothing, neither its name nor its type.  Position, camera, comments, colour profiles
and whatever hangs behind the picture do not survive: a file that is a picture and something else too comes out as a
picture.  Of a moving one the first frame is kept.
"""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from hub.errors import InvalidError

BYTES_MAX = 8_000_000
PIXELS_MAX = 40_000_000
SIDE_MAX = 2_560  # of what is kept
JPEG_QUALITY = 85
FORMATS = ("JPEG", "PNG", "WEBP")
ORIENTATION = 0x0112  # EXIF 2.32, tag 274
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises for files that are broken or made to break it.
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error, zlib.error)

Image.MAX_IMAGE_PIXELS = PIXELS_MAX  # Pillow's own guard, for whatever it opens inside a file


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is kept; ``name`` is the hash of its bytes, ``media_type`` image/jpeg or image/png."""

    name: str
    media_type: str
    width: int
    height: int
    data: bytes = field(repr=False)


def clean(data: bytes) -> Picture:
    """Give what was sent as a picture to keep, upright, at most SIDE_MAX long; it may take a second: use a thread.

    Raises InvalidError with one sentence for what is empty, too big, damaged or no JPEG, PNG or WebP.
    """
    if not data:
        raise InvalidError("The file is empty; choose a picture.")
    if len(data) > BYTES_MAX:
        raise InvalidError(f"The picture is bigger than {BYTES_MAX // 1_000_000} MB; make it smaller.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            _check_size(*opened.size)
            return _written(_pixels(opened))
    except UnidentifiedImageError:
        raise InvalidError("Only JPEG, PNG and WebP pictures can be kept; choose one of these.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidError(_too_large()) from None
    except InvalidError:
        raise
    except DAMAGE:
        raise InvalidError("The picture is damaged; take or export it again.") from None


def shrunk(picture: Picture, side: int) -> Picture:
    """Give a picture of ours again, at most ``side`` long, as JPEG."""
    with Image.open(io.BytesIO(picture.data), formats=FORMATS) as opened:
        opened.thumbnail((side, side))
        return _written(opened.convert("RGB"))


def _check_size(width: int, height: int) -> None:
    """Refuse what would fill the memory, by what the head of the file says, before anything is decoded."""
    if width * height > PIXELS_MAX:
        raise InvalidError(_too_large())


def _too_large() -> str:
    return f"The picture has more than {PIXELS_MAX // 1_000_000} million pixels; make it smaller."


def _pixels(opened: Image.Image) -> Image.Image:
    """Decode, shrink and turn a picture; the result carries nothing else of the file."""
    turn = TURNED.get(opened.getexif().get(ORIENTATION, 1))
    opened.thumbnail((SIDE_MAX, SIDE_MAX))
    clear = opened.has_transparency_data
    mode = "RGBA" if clear else "RGB"
    decoded = opened.convert(mode)
    upright = decoded.transpose(turn) if turn is not None else decoded
    fresh = Image.new(mode, upright.size)
    fresh.paste(upright)
    return fresh


def _written(picture: Image.Image) -> Picture:
    clear = picture.mode == "RGBA"
    file = io.BytesIO()
    if clear:
        picture.save(file, "PNG", optimize=True)
    else:
        picture.save(file, "JPEG", quality=JPEG_QUALITY)
    data = file.getvalue()
    name = hashlib.sha256(data).hexdigest() + (".png" if clear else ".jpg")
    return Picture(name, "image/png" if clear else "image/jpeg", picture.width, picture.height, data)
