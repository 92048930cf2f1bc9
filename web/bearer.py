"""API tokens in requests: under /api/ alone, and in the Authorization header alone."""

from starlette.requests import Request

from hub.access.tokens import REFUSAL, TokenRefusedError
from hub.errors import InvalidError

API = "/api/"
SCHEME = "bearer"
ASK = {"WWW-Authenticate": "Bearer"}  # how to ask, for whoever is refused
BOTH = "Send the token or the cookie of a browser, not both."


def secret(request: Request, session_cookie: str) -> str | None:
    """Give the token that a request carries, None where it carries none.

    Whatever another scheme says is not ours: a proxy may have asked for it.  Raises InvalidError beside a session's
    cookie, and TokenRefusedError for two tokens.
    """
    if not request.scope["path"].startswith(API):
        return None
    said = [value.partition(" ") for value in request.headers.getlist("Authorization")]
    found = [rest for scheme, _, rest in said if scheme.lower() == SCHEME]
    if not found:
        return None
    if session_cookie in request.cookies:
        raise InvalidError(BOTH)
    if len(said) > 1:
        raise TokenRefusedError(REFUSAL)
    return found[0]
