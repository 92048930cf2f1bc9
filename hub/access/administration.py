"""Who belongs to an organisation and what he may do there: accounts and roles, as administrators keep them."""

from uuid import UUID

from psycopg.errors import CheckViolation, UniqueViolation

from hub.access import service as access
from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)


async def add_service_account(tx: Transaction, login: str, name: str) -> UUID:
    """Add an account for a program, with the role integration: it has no password and cannot sign in."""
    try:
        user_id: UUID = await tx.value(SQL["add_service_account"], {"login": login.lower(), "name": name})
    except UniqueViolation as error:
        raise ConflictError(f"There is already a user '{login}'; choose another name.") from error
    except CheckViolation as error:
        raise InvalidError("A login has 2 to 64 characters, a name 1 to 120; choose others.") from error
    await audit.record(tx, "added", "user", user_id, {"login": login.lower(), "kind": "service"})
    await access.grant(tx, user_id, "integration")
    return user_id
