"""What each role may do, and where."""

from enum import StrEnum, auto


class Right(StrEnum):
    """One thing that somebody may be allowed to do."""

    SEE_CONSOLE = auto()  # overview, alarms, gateways
    SEE_POINTS = auto()  # readings: the latest, trends, what a bill stands on
    COMMAND_POINTS = auto()  # set points of devices, where the site file allows it
    ACKNOWLEDGE_ALARMS = auto()
    CORRECT_READINGS = auto()  # dispute, replace and add readings, withdraw corrections
    ENTER_READINGS = auto()  # what a meter's face shows, read by a person; exchanges of meters
    COMMISSION_POINTS = auto()  # bring records of looks at meter faces
    IMPORT_READINGS = auto()  # bring history in files
    SEE_ORDERS = auto()  # all work orders
    DIRECT_ORDERS = auto()  # reassign, stop, close
    DO_ORDERS = auto()  # the technician's page
    SEE_LEASES = auto()  # tenants, leases, all invoices
    RUN_BILLS = auto()
    SEE_OWN_PAPERS = auto()  # a tenant's own leases and invoices
    SEE_STILLS = auto()  # pictures of cameras
    SEE_BADGES = auto()  # who went through which door
    ADD_STILLS = auto()
    REQUEST_APPROVAL = auto()
    APPROVE = auto()  # who decides what is data (flows); this opens the inbox
    MANAGE_FLOWS = auto()
    MANAGE_USERS = auto()
    SEE_AUDIT = auto()
    MANAGE_PRIVACY = auto()  # give out and erase what is known of a person
    SEE_BANK_ACCOUNTS = auto()  # clearance: whole numbers of bank accounts
    SEE_SENSITIVE_ZONES = auto()  # clearance: stills and badges of sensitive zones


CLEARANCES = frozenset({Right.SEE_BANK_ACCOUNTS, Right.SEE_SENSITIVE_ZONES})

# Rights that concern the organisation as a whole: a role at a site or building does not bring them.
WHOLE_ONLY = frozenset({Right.MANAGE_FLOWS, Right.MANAGE_USERS, Right.SEE_AUDIT, Right.MANAGE_PRIVACY})

_CONSOLE = {Right.SEE_CONSOLE, Right.SEE_POINTS, Right.SEE_ORDERS}
_CORRECTIONS = {Right.CORRECT_READINGS, Right.ENTER_READINGS}
_REQUESTS = {Right.REQUEST_APPROVAL, Right.APPROVE}

RIGHTS: dict[str, frozenset[Right]] = {
    "administrator": frozenset(Right)
    - CLEARANCES
    - {Right.SEE_OWN_PAPERS, Right.DO_ORDERS, Right.SEE_STILLS, Right.SEE_BADGES, Right.ADD_STILLS}
    - {Right.COMMAND_POINTS},
    "manager": frozenset(
        _CONSOLE
        | _REQUESTS
        | {Right.ACKNOWLEDGE_ALARMS, Right.COMMISSION_POINTS, Right.DIRECT_ORDERS, Right.SEE_LEASES}
        | _CORRECTIONS
    ),
    "engineer": frozenset(
        _CONSOLE
        | _REQUESTS
        | {Right.ACKNOWLEDGE_ALARMS, Right.COMMISSION_POINTS, Right.DIRECT_ORDERS, Right.SEE_STILLS}
        | {Right.COMMAND_POINTS, Right.IMPORT_READINGS}
        | _CORRECTIONS
    ),
    "technician": frozenset({Right.DO_ORDERS, Right.REQUEST_APPROVAL, Right.ENTER_READINGS}),
    "billing": frozenset(_REQUESTS | {Right.SEE_LEASES, Right.RUN_BILLS, Right.SEE_POINTS, Right.SEE_BANK_ACCOUNTS}),
    "security": frozenset(
        _REQUESTS | {Right.SEE_CONSOLE, Right.SEE_STILLS, Right.SEE_BADGES, Right.SEE_SENSITIVE_ZONES}
    ),
    "auditor": frozenset(_CONSOLE | {Right.SEE_LEASES, Right.SEE_AUDIT}),
    "integration": frozenset({Right.SEE_CONSOLE, Right.SEE_POINTS, Right.ADD_STILLS}),
    "tenant": frozenset({Right.SEE_OWN_PAPERS}),
    "contractor": frozenset({Right.DO_ORDERS}),
}

KINDS = {"tenant": "tenant", "contractor": "contractor", "integration": "service"}  # of the user; all others: staff


def rights_of(role: str, scope: str) -> frozenset[Right]:
    """Give what a role held at a scope (group, organisation, site, building) allows."""
    return RIGHTS[role] if scope in ("group", "organisation") else RIGHTS[role] - WHOLE_ONLY
