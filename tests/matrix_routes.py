"""What the matrix expects of every route: whom it lets in, and what it is asked about.

Written by hand and on purpose a second time: the routes declare rights, this page roles, and the two must agree.
A route that is not here fails the test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from tests.matrix_approvals import APPROVERS, REQUESTERS
from tests.matrix_world import MARKS, NUMBERS, PASSWORD, Place, World, roles

Values = Mapping[str, Any]
Asked = Callable[[World, Place, str], Values]  # world, the realm asked about, the visitor's login


def _nothing(_: World, __: Place, ___: str) -> Values:
    return {}


@dataclass(frozen=True)
class Entry:
    """``who`` may; ``path``, ``query`` and ``form`` give what is asked about a realm.

    ``named``: the request names one thing, which must not be found in a realm that the visitor does not see.
    ``whole``: a role at one site does not bring it.  ``personal``: the thing is the visitor's own, in his realm only.
    ``parties``: whose business the named thing is (logins); the others find nothing.  ``shared``: the thing is the
    whole organisation's, wherever it is asked about.
    """

    who: frozenset[str]
    path: Asked = _nothing
    query: Asked = _nothing
    form: Asked = _nothing
    json: Asked | None = None
    whole: bool = False
    personal: bool = False
    parties: frozenset[str] = frozenset()
    shared: bool = False
    public: bool = False
    anyone: bool = False

    @property
    def named(self) -> bool:
        """Whether the request names one thing."""
        return self.path is not _nothing or self.query is not _nothing or self.json is not None


def allow(*who: str, **more: Any) -> Entry:
    """Declare a route for these roles."""
    return Entry(frozenset(roles(*who)), **more)


def _of(attribute: str, name: str | None = None) -> Asked:
    return lambda _, place, __: {name or attribute: getattr(place, attribute)}


def _stranger(_: World, place: Place, __: str) -> Values:
    return {"site": place.site, "gateway": "GW-STRANGE", "device": "D-1"}


def _job(world: World, place: Place, login: str) -> Values:
    own = place.realm == "own" and login in world.jobs
    return {"number": world.jobs[login] if own else place.order}


def _step(verb: str) -> Asked:
    return lambda world, *_: {
        "verb": verb, "submission_id": uuid4(), "note": "done", "assignee_id": world.users["technician"],
    }  # fmt: skip


def _command(_: World, place: Place, __: str) -> Values:
    return {"code": place.point, "command_id": place.command}


def _wish(_: World, place: Place, __: str) -> Values:
    return {"id": str(uuid4()), "point": place.point, "value": 1, "reason": "rounds"}


def _ranged(_: World, place: Place, __: str) -> Values:
    return {**DAY, "point": place.point}


def _counted(_: World, place: Place, __: str) -> Values:
    return {**DAY, "meter": place.point}


def _complete(_: World, place: Place, __: str) -> Values:
    return {**DAY, "site": MARKS[place.realm] or "RIVERSIDE"}


def _import(_: World, place: Place, __: str) -> Values:
    return {"import_id": place.kept.imported}


def _correction(_: World, place: Place, __: str) -> Values:
    return {"number": NUMBERS[place.realm]}


def _added(_: World, place: Place, __: str) -> Values:
    return {"point": place.point, "kind": "add", "start": "2026-11-01T00:00:00Z", "value": "4711.5"}


def _read(*_: object) -> Values:
    said = {"final": "4711", "initial": "0", "multiplier": "40", "remark": "broken", "at": "2026-11-01T08:00"}
    return {"id": uuid4(), "value": "4711.5", "reason": "rounds", **said}


def _tenant(_: World, place: Place, __: str) -> Values:
    kept = place.kept
    return {"code": kept.tenant, "contact_id": kept.contact, "account_id": kept.account}


def _still(_: World, place: Place, __: str) -> Values:
    return {"still_id": place.kept.still}


def _device(_: World, place: Place, __: str) -> Values:
    return {"code": place.point.partition(".")[0]}


def _person(_: World, place: Place, __: str) -> Values:
    return {"key": place.kept.person}


def _request(_: World, place: Place, __: str) -> Values:
    return {"request_id": place.kept.request}


def _named(*_: Any) -> Values:
    return {"name": "Somebody", "verb": "change"}


def _why(*_: Any) -> Values:
    days = {"first": "2026-11-01", "last": "2026-11-30", "until": "2026-12-31"}
    return {"reason": "rounds", **days}


def _asked(attribute: str, name: str) -> Asked:
    return lambda _, place, __: {name: getattr(place.asked, attribute)}


def _own_request(world: World, place: Place, login: str) -> Values:
    if place.realm == "own" and login in world.requests:
        return {"number": world.requests[login]}
    return {"number": NOBODYS if place.realm == "north" else NUMBERS["other"]}


def _decision(*_: object) -> Values:
    return {"verdict": "approve", "seen": "0" * 64, "round": 1, "step": 0, "submission_id": uuid4()}


DAY = {"from": "2026-11-01T00:00:00+08:00", "to": "2026-11-02T00:00:00+08:00"}
NOBODYS = 999_999
PARTIES = frozenset({"administrator", "manager", "administrator@site", "manager@site"})
ANYONE = Entry(frozenset(), anyone=True)
PUBLIC = Entry(frozenset(), public=True)
HALFWAY = ANYONE  # between password and second factor; whoever is through, or nobody at all, is sent to the door
CONSOLE = ("administrator", "manager", "engineer", "security", "auditor")
ORDERS = ("administrator", "manager", "engineer", "auditor")
IMPORTERS = ("administrator", "engineer")
POINTS = ("administrator", "manager", "engineer", "billing", "auditor")
LEASES = ("administrator", "manager", "billing", "auditor")
PAPERS = (*LEASES, "tenant")
AUDIT = ("administrator", "auditor")
STILLS = ("engineer", "security")
CORRECTORS = ("administrator", "manager", "engineer", "technician")

ABSENT = frozenset({"nobody"})
TOKENS = ("administrator", "manager", "engineer", "billing", "security", "auditor")
USERS = allow("administrator", whole=True)
ONE_USER = replace(USERS, path=_of("user", "user_id"))


def NO_PROVIDER(*_: object) -> Values:  # noqa: N802 - a constant answer
    return {"provider": "none"}


def _new(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


ROUTES: dict[tuple[str, str], Entry] = {
    ("GET", "/sign-in"): PUBLIC,
    ("POST", "/sign-in"): PUBLIC,
    ("GET", "/api/health"): PUBLIC,
    ("GET", "/welcome"): PUBLIC,
    ("POST", "/welcome"): PUBLIC,
    ("GET", "/reset"): PUBLIC,
    ("POST", "/reset"): PUBLIC,
    ("GET", "/sign-in/again"): ANYONE,
    ("POST", "/sign-in/again"): Entry(frozenset(), anyone=True, form=lambda *_: {"password": PASSWORD}),
    ("GET", "/second-factor"): HALFWAY,
    ("POST", "/second-factor"): HALFWAY,
    ("GET", "/second-factor/set-up"): HALFWAY,
    ("POST", "/second-factor/set-up"): HALFWAY,
    ("POST", "/second-factor/leave"): HALFWAY,
    ("GET", "/account"): ANYONE,
    ("GET", "/account/sessions.csv"): ANYONE,
    ("POST", "/account/sessions/end-others"): ANYONE,
    ("POST", "/account/sessions/{session_id}/end"): Entry(
        frozenset(), anyone=True, path=lambda *_: {"session_id": uuid4()}
    ),
    ("GET", "/account/password"): ANYONE,
    ("POST", "/account/password"): Entry(frozenset(), anyone=True, form=lambda *_: {"current": PASSWORD}),
    ("GET", "/account/factor"): ANYONE,
    ("POST", "/account/factor"): ANYONE,
    ("POST", "/account/factor/give-up"): ANYONE,
    ("POST", "/account/codes"): ANYONE,
    ("POST", "/account/email"): ANYONE,
    ("POST", "/sign-out"): ANYONE,
    ("POST", "/language"): Entry(frozenset(), anyone=True, form=lambda *_: {"language": "en"}),
    ("GET", "/"): ANYONE,
    ("GET", "/overview/usage"): allow(*CONSOLE),
    ("GET", "/alarms"): allow(*CONSOLE),
    ("GET", "/alarms.csv"): allow(*CONSOLE),
    ("GET", "/alarms/history"): allow(*CONSOLE),
    ("GET", "/alarms/history.csv"): allow(*CONSOLE),
    ("GET", "/alarms/{alarm_id}"): allow(*CONSOLE, path=_of("alarm", "alarm_id")),
    ("POST", "/alarms/{alarm_id}/acknowledge"): allow(
        "administrator", "manager", "engineer", path=_of("alarm", "alarm_id"), form=lambda *_: {"comment": "seen"}
    ),
    ("GET", "/orders"): allow(*ORDERS ),
    ("GET", "/orders.csv"): allow(*ORDERS),
    ("GET", "/orders/{number}"): allow(*ORDERS, path=_of("order", "number")),
    ("POST", "/orders/{number}/act"): allow(
        "administrator", "manager", "engineer", path=_of("order", "number"), form=_step("assign")
    ),
    ("GET", "/points"): allow(*POINTS),
    ("GET", "/points.csv"): allow(*POINTS),
    ("GET", "/points/{code:path}"): allow(*POINTS, path=_of("point", "code")),
    ("GET", "/readings/import"): allow(*IMPORTERS),
    ("POST", "/readings/import"): allow(*IMPORTERS, form=lambda *_: {"site": "RIVERSIDE"}),
    ("GET", "/readings/import/{import_id}"): allow(*IMPORTERS, path=_import),
    ("POST", "/readings/import/{import_id}"): allow(*IMPORTERS, path=_import),
    ("GET", "/readings/import/{import_id}/problems.csv"): allow(*IMPORTERS, path=_import),
    ("POST", "/points/{code}/commands"): allow(
        "engineer", path=_of("point", "code"), form=lambda *_: {"id": uuid4(), "value": 1}
    ),
    ("POST", "/points/{code}/commands/{command_id}/give"): allow("engineer", path=_command),
    ("POST", "/api/commands"): allow("engineer", json=_wish),
    ("GET", "/api/commands/{command_id}"): allow(*CONSOLE, path=_command),
    ("POST", "/api/commands/{command_id}/give"): allow("engineer", path=_command),
    ("GET", "/corrections"): allow(*POINTS),
    ("GET", "/corrections.csv"): allow(*POINTS),
    ("GET", "/corrections/new"): allow(*CORRECTORS, query=_added),
    ("POST", "/corrections"): allow(*CORRECTORS, query=_added, form=_read),
    ("GET", "/corrections/{number}"): allow(*POINTS, "technician", path=_correction),
    ("POST", "/corrections/{number}/carry-out"): allow(*CORRECTORS, path=_correction),
    ("POST", "/corrections/{number}/take-back"): allow(*CORRECTORS, path=_correction),
    ("GET", "/meters"): allow(*CORRECTORS),
    ("GET", "/meters/{point_id}"): allow(*CORRECTORS, path=_of("point_id")),
    ("POST", "/meters/{point_id}/reading"): allow(*CORRECTORS, path=_of("point_id"), form=_read),
    ("POST", "/meters/{point_id}/exchange"): allow(*CORRECTORS, path=_of("point_id"), form=_read),
    ("GET", "/consumption"): allow(*POINTS),
    ("GET", "/consumption.csv"): allow(*POINTS),
    ("GET", "/consumption/{code}"): allow(*POINTS, path=_of("device_code", "code")),
    ("GET", "/commissioning"): allow(*POINTS),
    ("GET", "/commissioning.csv"): allow(*POINTS),
    ("POST", "/commissioning"): allow("administrator", "manager", "engineer"),
    ("GET", "/commissioning/{code}"): allow(*POINTS, path=_of("point", "code")),
    ("GET", "/completeness"): allow(*POINTS),
    ("GET", "/completeness.csv"): allow(*POINTS),
    ("GET", "/completeness/gaps.csv"): allow(*POINTS),
    ("GET", "/completeness/devices/{code}"): allow(*POINTS, path=_device),
    ("GET", "/gateways"): allow(*CONSOLE),
    ("GET", "/gateways.csv"): allow(*CONSOLE),
    ("GET", "/gateways/strangers.csv"): allow(*CONSOLE),
    ("GET", "/gateways/adopt"): allow("administrator", "manager", "engineer", query=_stranger),
    ("POST", "/gateways/adopt"): allow("administrator", "manager", "engineer"),
    ("POST", "/gateways/ignore"): allow("administrator", "manager", "engineer"),
    ("POST", "/gateways/unit"): allow("administrator", "manager", "engineer"),
    ("GET", "/platform"): allow(*CONSOLE),
    ("GET", "/audit"): allow(*AUDIT, whole=True),
    ("GET", "/audit.csv"): allow(*AUDIT, whole=True),
    ("GET", "/audit/{entity}/{entity_id}"): allow(
        *AUDIT, whole=True, path=lambda _, place, __: {"entity": "site", "entity_id": place.site}
    ),
    ("GET", "/tenants"): allow(*LEASES),
    ("GET", "/tenants.csv"): allow(*LEASES),
    ("GET", "/tenants/{code}"): allow(*LEASES, path=_tenant),
    ("GET", "/tenants/{code}/contacts.csv"): allow(*LEASES, path=_tenant),
    ("POST", "/tenants/{code}/contacts"): allow("administrator", "billing", path=_tenant, form=_named),
    ("POST", "/tenants/{code}/contacts/{contact_id}"): allow("administrator", "billing", path=_tenant, form=_named),
    ("POST", "/tenants/{code}/accounts"): allow(
        "billing", path=_tenant, form=lambda *_: {"holder": "H", "bank": "B", "number": "62220202"}
    ),
    ("POST", "/tenants/{code}/accounts/{account_id}/show"): allow("billing", path=_tenant),
    ("POST", "/tenants/{code}/accounts/{account_id}/end"): allow("billing", path=_tenant),
    ("GET", "/stills"): allow(*STILLS),
    ("GET", "/stills.csv"): allow(*STILLS),
    ("GET", "/stills/{still_id}"): allow(*STILLS, path=_still),
    ("POST", "/stills/{still_id}"): allow(*STILLS, path=_still, form=_why),
    ("GET", "/stills/{still_id}/thumbnail"): allow(*STILLS, path=_still),
    ("POST", "/stills/{still_id}/picture"): allow(*STILLS, path=_still, form=_why),
    ("POST", "/stills/{still_id}/keep"): allow(*STILLS, path=_still, form=_why),
    ("GET", "/badges"): allow("security"),
    ("POST", "/badges"): allow("security", form=_why),
    ("POST", "/badges.csv"): allow("security", form=_why),
    ("GET", "/privacy"): allow("administrator", whole=True),
    ("GET", "/privacy.csv"): allow("administrator", whole=True),
    ("POST", "/privacy/people"): allow("administrator", whole=True, form=lambda *_: {"text": "Contact"}),
    ("POST", "/privacy/person"): allow(
        "administrator", whole=True, form=lambda _, place, __: {"record": place.kept.person}
    ),
    ("GET", "/privacy/person/{key}"): allow("administrator", whole=True, path=_person),
    ("POST", "/privacy/person/{key}/export"): allow("administrator", whole=True, path=_person, form=_why),
    ("POST", "/privacy/person/{key}/erasure"): allow("administrator", whole=True, path=_person, form=_why),
    ("GET", "/privacy/requests/{request_id}"): allow("administrator", whole=True, path=_request),
    ("POST", "/privacy/requests/{request_id}/carry-out"): allow("administrator", whole=True, path=_request),
    ("POST", "/privacy/requests/{request_id}/withdraw"): allow("administrator", whole=True, path=_request),
    ("POST", "/api/stills"): allow(),
    ("POST", "/api/badge-events"): allow(json=lambda *_: {"site": "RIVERSIDE", "events": []}),
    ("GET", "/leases"): allow(*LEASES),
    ("GET", "/leases.csv"): allow(*LEASES),
    ("GET", "/leases/{code}"): allow(*LEASES, path=_of("lease", "code")),
    ("GET", "/invoices"): allow(*LEASES),
    ("GET", "/invoices.csv"): allow(*LEASES),
    ("GET", "/invoices/run"): allow("administrator", "billing"),
    ("POST", "/invoices/run"): allow("administrator", "billing", form=lambda *_: {"month": "2026-08"}),
    ("GET", "/invoices/{number}.pdf"): allow(*PAPERS, path=_of("invoice", "number")),
    ("GET", "/invoices/{number}"): allow(*PAPERS, path=_of("invoice", "number")),
    ("GET", "/approvals"): allow(*REQUESTERS),
    ("GET", "/approvals.csv"): allow(*REQUESTERS),
    ("GET", "/approvals/new"): allow(*REQUESTERS),
    ("POST", "/approvals"): allow(
        *REQUESTERS,
        form=lambda world, *_: {"kind": "general", "title": "T", "text": "x", "site_id": world.places["own"].site},
    ),
    ("GET", "/approvals/{number}"): allow(*REQUESTERS, path=_asked("number", "number"), parties=PARTIES),
    ("POST", "/approvals/{number}/decide"): allow(
        *APPROVERS, path=_asked("number", "number"), form=_decision, parties=PARTIES
    ),
    ("POST", "/approvals/{number}/withdraw"): allow(*REQUESTERS, path=_own_request, personal=True),
    ("GET", "/deputies"): allow(*APPROVERS),
    ("GET", "/deputies.csv"): allow(*APPROVERS),
    ("POST", "/deputies"): allow(
        *APPROVERS, form=lambda *_: {"deputy": "billing", "first": "2027-01-01", "last": "2027-01-02"}
    ),
    ("POST", "/deputies/{deputation_id}/end"): allow(
        *APPROVERS, path=_asked("deputation", "deputation_id"), parties=frozenset({"administrator"})
    ),
    ("GET", "/flows"): allow(*REQUESTERS),
    ("GET", "/flows.csv"): allow(*REQUESTERS),
    ("GET", "/flows/{kind}"): allow(*REQUESTERS, path=_asked("kind", "kind"), shared=True),
    ("GET", "/flows/{kind}/propose"): allow("administrator", path=_asked("kind", "kind"), whole=True),
    ("POST", "/flows/propose"): allow("administrator", form=lambda *_: {"text": "expense: {}"}, whole=True),
    ("POST", "/flows/versions/{version_id}/adopt"): allow(
        "administrator", path=_asked("version", "version_id"), whole=True
    ),
    ("GET", "/my"): allow("technician", "contractor"),
    ("GET", "/my/{number}"): allow("technician", "contractor", path=_job, personal=True),
    ("POST", "/my/{number}/act"): allow(
        "technician", "contractor", path=_job, form=_step("accept"), personal=True
    ),
    ("GET", "/papers"): allow("tenant"),
    ("GET", "/papers.csv"): allow("tenant"),
    ("GET", "/api/readings"): allow(*POINTS, query=_ranged),
    ("GET", "/api/readings/chart"): allow(*POINTS, query=_ranged),
    ("GET", "/api/readings/latest"): allow(*POINTS, query=lambda _, place, __: {"point": place.point}),
    ("GET", "/api/consumption"): allow(*POINTS, query=_counted),
    ("GET", "/api/completeness"): allow(*POINTS, query=_complete),
    ("GET", "/api/gaps"): allow(*POINTS, query=_complete),
    ("GET", "/api/alarms"): allow(*CONSOLE),
    ("GET", "/api/openapi.json"): ANYONE,
    ("POST", "/sign-in/with/{provider}"): Entry(frozenset(), public=True, path=NO_PROVIDER),
    ("POST", "/sign-in/again/with/{provider}"): Entry(frozenset(), anyone=True, path=NO_PROVIDER),
    ("GET", "/oidc/{provider}/callback"): Entry(frozenset(), public=True, path=NO_PROVIDER),
    ("POST", "/account/identities/with/{provider}"): Entry(frozenset(), anyone=True, path=NO_PROVIDER),
    ("POST", "/account/identities/{identity_id}/remove"): Entry(
        frozenset(), anyone=True, path=lambda *_: {"identity_id": uuid4()}
    ),
    ("POST", "/whereabouts/organisation"): Entry(
        frozenset(), anyone=True, form=lambda _, place, __: {"organisation_id": place.organisation}
    ),
    ("POST", "/whereabouts/site"): Entry(frozenset(), anyone=True, form=lambda _, place, __: {"site_id": place.site}),
    ("GET", "/users"): USERS,
    ("GET", "/users.csv"): USERS,
    ("GET", "/users/invite"): USERS,
    ("POST", "/users/invite"): allow(
        "administrator", whole=True, form=lambda *_: {"login": _new("new"), "name": "New", "role": "technician"}
    ),
    ("POST", "/users/sessions/end"): USERS,
    ("GET", "/users/{user_id}"): ONE_USER,
    ("POST", "/users/{user_id}/invite"): ONE_USER,
    ("POST", "/users/{user_id}/name"): replace(ONE_USER, form=lambda *_: {"name": "Renamed", "language": "en"}),
    ("POST", "/users/{user_id}/close"): replace(ONE_USER, path=_of("leaver", "user_id")),
    ("POST", "/users/{user_id}/reopen"): replace(ONE_USER, path=_of("leaver", "user_id")),
    ("POST", "/users/{user_id}/factor/remove"): replace(ONE_USER, form=lambda *_: {"reason": "lost"}),
    ("POST", "/users/{user_id}/sessions/end"): ONE_USER,
    ("POST", "/users/{user_id}/sessions/{session_id}/end"): replace(
        ONE_USER, path=lambda _, place, __: {"user_id": place.user, "session_id": uuid4()}, parties=ABSENT
    ),
    ("POST", "/users/{user_id}/roles"): replace(ONE_USER, form=lambda *_: {"role": "technician"}),
    ("POST", "/users/{user_id}/roles/{grant_id}/end"): replace(
        ONE_USER, path=lambda _, place, __: {"user_id": place.user, "grant_id": place.grant}
    ),
    ("POST", "/users/{user_id}/roles/approved"): replace(ONE_USER, form=lambda *_: {"number": 10**6}, parties=ABSENT),
    ("GET", "/tokens"): allow(*TOKENS),
    ("GET", "/tokens.csv"): allow(*TOKENS),
    ("POST", "/tokens"): allow(
        *TOKENS, form=lambda *_: {"name": _new("t"), "days": 30, "rights": "see_points"}
    ),
    ("POST", "/tokens/accounts"): allow(
        "administrator", whole=True, form=lambda *_: {"login": _new("robot"), "name": "Robot"}
    ),
    ("POST", "/tokens/{token_id}/revoke"): allow(*TOKENS, path=lambda *_: {"token_id": uuid4()}, parties=ABSENT),
}  # fmt: skip
