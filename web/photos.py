"""Photos that people send with a form: cleaned beside the event loop, a few at a time."""

from base64 import b64encode

from fastapi import UploadFile

from hub.corrections.service import keep_picture
from hub.documents import picture
from hub.documents.picture import Picture
from hub.workers import Workers

PICTURES = Workers("photos", 1, 8, "Too many pictures come in at once; send this one again in a moment.", nice=5)


async def taken(sent: UploadFile | None) -> Picture | None:
    """Give the picture of a form, None where none was chosen; raises InvalidError for what is no picture."""
    if sent is None or not sent.filename:
        return None
    return await PICTURES.run(_kept, await sent.read(picture.BYTES_MAX + 1))


def inline(media_type: str, data: bytes) -> str:
    """Give a picture as the page carries it within itself: there is no address under which it lies."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _kept(data: bytes) -> Picture:
    return keep_picture(picture.clean(data))
