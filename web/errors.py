"""Failures as pages, fragments or JSON: always a sentence, never a traceback."""

import logging
import secrets
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from hub.errors import HubError
from web.bearer import ASK
from web.render import render
from web.security import headers_for
from web.session import FreshProofNeededError, SignInNeededError, Visit, language_of

log = logging.getLogger(__name__)

NO_SUCH_PAGE = "There is no such page."
BUG = "Something went wrong here; it has been noted. Try again, or report the reference."
PROVE_AGAIN = "Sign in again first: this asks for a proof of who you are that is a few minutes old at most."
UNKNOWN = 401  # nobody is signed in
FORBIDDEN = 403
HTTP_SENTENCES = {404: NO_SUCH_PAGE, 405: "This page cannot do that."}


def say(request: Request, status: int, sentence: str, reference: str = "") -> Response:
    """Answer a failure in the form that was asked for."""
    request.state.refusal = sentence  # for the witness
    if request.scope["path"].startswith("/api/"):
        return JSONResponse({"error": sentence, "reference": reference}, status)
    visit: Visit | None = getattr(request.state, "visit", None)
    spoken = visit.language if visit else language_of(request)
    said = {"status": status, "sentence": sentence, "reference": reference, "visit": visit, "site": None}
    if request.headers.get("HX-Request") == "true":
        # htmx 4 swaps the bodies of failures too: beside the list, not into it, and it stays until closed.
        headers = {"HX-Retarget": "#notices", "HX-Reswap": "beforeend", "HX-Reselect": ".notice"}
        return HTMLResponse(render(spoken, "notice.html", **said), status, headers)
    return HTMLResponse(render(spoken, "error.html", **said), status)


async def refuse(request: Request, error: Exception) -> Response:
    """Answer a refusal of the hub."""
    assert isinstance(error, HubError)
    answer = say(request, error.status, str(error))
    answer.headers.update(ASK if error.status == UNKNOWN else {})
    return answer


async def ask_to_sign_in(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """Send whoever is not signed in to the door, and back afterwards."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": "Sign in first.", "reference": ""}, UNKNOWN, ASK)
    if request.headers.get("HX-Request") == "true":
        return Response(status_code=UNKNOWN, headers={"HX-Redirect": "/sign-in"})
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(asked)}" if request.method == "GET" and asked != "/" else ""
    return RedirectResponse(f"/sign-in{back}", status_code=303)


async def ask_again(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """Let somebody prove once more who he is before a grave act, and bring him back to the page that he came from."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": PROVE_AGAIN, "reference": ""}, FORBIDDEN)
    came_from = str(request.url) if request.method == "GET" else request.headers.get("Referer", "/")
    page = urlsplit(came_from)
    path = f"/sign-in/again?next={quote(page.path + (f'?{page.query}' if page.query else ''))}"
    if request.headers.get("HX-Request") == "true":
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, status_code=303)


async def not_valid(request: Request, error: Exception) -> Response:
    """Answer a form or an address whose fields are missing or of the wrong kind."""
    assert isinstance(error, RequestValidationError)
    fields = ", ".join(sorted({str(problem["loc"][-1]) for problem in error.errors()}))
    return say(request, 422, f"Something is missing or wrong in: {fields}.")


async def http_failure(request: Request, error: Exception) -> Response:
    """Answer what the router refuses."""
    assert isinstance(error, HTTPException)
    answer = say(request, error.status_code, HTTP_SENTENCES.get(error.status_code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer


async def bug(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw: a reference for the visitor, the traceback for the log."""
    reference = secrets.token_hex(4)
    log.error("reference %s: %s %s", reference, request.method, request.url.path, exc_info=error)
    answer = say(request, 500, BUG, reference)
    guarded = headers_for(request.app.state.settings)
    answer.headers.update({**guarded, "Cache-Control": "no-store"})  # this answer passes outside the guard
    return answer


def install(app: FastAPI) -> None:
    """Put these answers in place."""
    app.add_exception_handler(HubError, refuse)
    app.add_exception_handler(SignInNeededError, ask_to_sign_in)
    app.add_exception_handler(FreshProofNeededError, ask_again)
    app.add_exception_handler(RequestValidationError, not_valid)
    app.add_exception_handler(HTTPException, http_failure)
    app.add_exception_handler(Exception, bug)
