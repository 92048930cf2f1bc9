"""Static files under an address that changes with their content, so that browsers may keep them for ever."""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

FOLDER = Path(str(files("web"))) / "static"
NEEDED = ("vendor/htmx.js", "vendor/uplot.js", "vendor/tabler.css")
KEEP = "public, max-age=31536000, immutable"
GZIP_MIN_BYTES = 1_000


class MissingFilesError(RuntimeError):
    """The browser files are not there; `python hatch_build.py` or an installation fetches them."""


class KeptFiles(StaticFiles):
    """Static files that browsers may keep: their address names their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Give the file, marked as immutable."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = KEEP
        return response


@cache
def version() -> str:
    """Give eight digits that stand for the content of all static files; raises MissingFilesError."""
    missing = [name for name in NEEDED if not (FOLDER / name).is_file()]
    if missing:
        raise MissingFilesError(f"web/static lacks {', '.join(missing)}; run: python hatch_build.py")
    digest = hashlib.sha256()
    for path in sorted(p for p in FOLDER.rglob("*") if p.is_file()):
        digest.update(path.relative_to(FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def address(name: str) -> str:
    """Give the address of one static file."""
    return f"/static/{version()}/{name}"


def application() -> ASGIApp:
    """Give the app that serves them, compressed; pages are not, as they hold secrets beside what a visitor sent."""
    return GZipMiddleware(KeptFiles(directory=FOLDER), minimum_size=GZIP_MIN_BYTES)
