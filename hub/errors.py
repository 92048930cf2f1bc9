"""Refusals, named for what the caller will do about them; each carries one sentence for the user."""


class HubError(Exception):
    """A request that the hub refuses.  ``status`` is the HTTP status that says so."""

    status = 500


class NotFoundError(HubError):
    """There is no such thing, or none that this user may see."""

    status = 404


class ConflictError(HubError):
    """The thing is not in a state that allows this."""

    status = 409


class ForbiddenError(HubError):
    """Somebody asked for what is not his to do or see."""

    status = 403


class InvalidError(HubError):
    """What was sent cannot be used; the sentence says what is wrong with it."""

    status = 422


class UnavailableError(HubError):
    """The database cannot be reached now; try again."""

    status = 503
