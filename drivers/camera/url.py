"""The address of a stream with who we are in it."""

from urllib.parse import quote

LOOPBACK = "127.0.0.1"


def url_of(place: str, user: str | None, password: str | None) -> str:
    """Give the URL with user and password, as FFmpeg wants it; it is shown to nobody."""
    if user is None:
        return place
    scheme, _, rest = place.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password or '', safe='')}@{rest}"
