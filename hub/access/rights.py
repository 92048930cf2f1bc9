"""What each role may do."""

from enum import StrEnum, auto


class Right(StrEnum):
    """One thing that somebody may be allowed to do."""

    SEE_CONSOLE = auto()  # overview, alarms, gateways
    SEE_POINTS = auto()  # readings: the latest, trends, what a bill stands on
    ACKNOWLEDGE_ALARMS = auto()
    SEE_ORDERS = auto()  # all work orders
    DIRECT_ORDERS = auto()  # reassign, stop, close
    DO_ORDERS = auto()  # the technician's page
    SEE_LEASES = auto()  # tenants, leases, all invoices
    RUN_BILLS = auto()
    SEE_OWN_PAPERS = auto()  # a tenant's own leases and invoices
    MANAGE_USERS = auto()


_CONSOLE = {Right.SEE_CONSOLE, Right.SEE_POINTS, Right.SEE_ORDERS}

RIGHTS: dict[str, frozenset[Right]] = {
    "administrator": frozenset(Right) - {Right.SEE_OWN_PAPERS, Right.DO_ORDERS},
    "engineer": frozenset(_CONSOLE | {Right.ACKNOWLEDGE_ALARMS, Right.DIRECT_ORDERS}),
    "technician": frozenset({Right.DO_ORDERS}),
    "billing": frozenset({Right.SEE_LEASES, Right.RUN_BILLS, Right.SEE_POINTS}),
    "tenant": frozenset({Right.SEE_OWN_PAPERS}),
}
