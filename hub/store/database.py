"""Connections and transactions.

A transaction runs in the name of one organisation and under one narrow role; row-level security does the rest.
It is opened at the edge of the program (a request, an MQTT batch, a job run) and passed inward; inner code
never commits.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from psycopg import AsyncConnection, DataError, OperationalError, sql
from psycopg.errors import DiskFull
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, tuple_row
from psycopg_pool import PoolTimeout

from hub.errors import InvalidError, NotFoundError, UnavailableError
from hub.store.pool import POOL_MAX, pool
from hub.store.replica import WAIT_S, Replica

Row = TypeVar("Row")
Parameters = Mapping[str, Any]

OPENINGS_KEPT = 500
EVERYWHERE = "*"  # in the settings that the policies of migration 0008 read


class Role(StrEnum):
    """The database roles that a transaction can take (see migration 0001)."""

    APP = "plantroom_app"
    INGEST = "plantroom_ingest"
    DOOR = "plantroom_door"
    SEALER = "plantroom_sealer"
    POST = "plantroom_post"  # migration 0011
    KEEPER = "plantroom_keeper"  # migration 0013


@dataclass(frozen=True, slots=True)
class Actor:
    """In whose name something is done: a user (``name`` is his login) or a program of ours (``plantroom/ingest``).

    ``rights`` is None for a program, which nobody's rights hold back.  ``places`` are the sites and buildings that the
    transaction is confined to, None for the whole organisation; ``clearances`` say so for each right on a field or a
    zone that few people have.  ``tenant_id`` or ``contractor`` confine people from outside to what is theirs.
    ``address`` and ``request_id`` say where an act came from; ``on_behalf_of`` whose deputy acted.
    """

    name: str
    user_id: UUID | None = None
    rights: frozenset[str] | None = None
    places: frozenset[UUID] | None = None
    clearances: tuple[tuple[str, frozenset[UUID] | None], ...] = ()
    tenant_id: UUID | None = None
    contractor: bool = False
    address: str = ""
    request_id: str = ""
    on_behalf_of: str = ""

    def may(self, right: str) -> bool:
        """Whether this person has a right; a program has no person's rights."""
        return self.rights is not None and right in self.rights


SYSTEM = Actor("plantroom")


@dataclass(slots=True)
class Transaction:
    """An open transaction; ``organisation`` is None only where none is known yet (sign-in, ingest look-ups)."""

    connection: AsyncConnection[Any]
    organisation: UUID | None
    actor: Actor
    role: Role = field(default=Role.APP)
    lifted: bool = field(default=False, init=False)  # by ``unconfined``

    async def all(
        self, row: type[Row], query: bytes, parameters: Parameters | None = None, *, afresh: bool = False
    ) -> list[Row]:
        """Give every row, as instances of the frozen dataclass ``row``.

        ``afresh``: planned for these very parameters each time.  A plan for any parameters expects six rows of a long
        list with filters that may be missing, and joins the rest to them one by one.
        """
        async with self.connection.cursor(row_factory=class_row(row)) as cursor:
            await cursor.execute(query, parameters, prepare=False if afresh else None)
            return await cursor.fetchall()

    async def maybe(self, row: type[Row], query: bytes, parameters: Parameters | None = None) -> Row | None:
        """Give the first row, or None."""
        async with self.connection.cursor(row_factory=class_row(row)) as cursor:
            await cursor.execute(query, parameters)
            return await cursor.fetchone()

    async def one(self, row: type[Row], query: bytes, parameters: Parameters | None = None, *, what: str) -> Row:
        """Give the first row; raises NotFoundError naming ``what``."""
        found = await self.maybe(row, query, parameters)
        if found is None:
            raise NotFoundError(f"There is no such {what}.")
        return found

    async def value(self, query: bytes, parameters: Parameters | None = None) -> Any:
        """Give the first column of the first row, or None."""
        async with self.connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(query, parameters)
            found = await cursor.fetchone()
            return found[0] if found else None

    async def run(self, query: bytes, parameters: Parameters | None = None) -> int:
        """Run a statement and give the number of rows that it touched."""
        async with self.connection.cursor() as cursor:
            await cursor.execute(query, parameters)
            return cursor.rowcount

    async def run_many(self, query: bytes, parameters: list[dict[str, Any]]) -> None:
        """Run a statement once per set of parameters, in one round trip."""
        async with self.connection.cursor() as cursor:
            await cursor.executemany(query, parameters)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Send the statements of the block one after the other without waiting; what they touched is not known.

        A failure is raised at the end of the block at the latest.
        """
        async with self.connection.pipeline():
            yield

    async def become(self, role: Role, organisation: UUID | None = None) -> None:
        """Go on under another role and, where given, in the name of another organisation."""
        self.role = role
        if organisation is not None:
            self.organisation = organisation
        await _take(self)

    @asynccontextmanager
    async def under(self, role: Role) -> AsyncIterator[None]:
        """Go on under another role until the end of the block; organisation, actor and confinement stay."""
        before, self.role = self.role, role
        await _enter(self)
        try:
            yield
        finally:
            self.role = before
            if _goes_on(self):
                await _enter(self)

    @asynccontextmanager
    async def unconfined(self) -> AsyncIterator[None]:
        """Go on over the whole organisation for what follows by itself from an act that was allowed where it was done.

        The actor stays; what he may see is lifted until the end of the block.
        """
        held_back = self.actor.places is not None or self.actor.tenant_id is not None or self.actor.contractor
        if self.lifted or not held_back:  # a block within such a block ends nothing
            yield
            return
        await _confine(self, Actor(self.actor.name))
        self.lifted = True
        try:
            yield
        finally:
            self.lifted = False
            if _goes_on(self):
                await _confine(self, self.actor)


async def _begin(tx: Transaction, *, reading: bool = False) -> None:
    """Begin, and say who we are, in one round trip; what is not said is empty, for the last transaction's is gone."""
    said = ((name, value) for name, value in _confinement(tx, tx.actor).items() if value)
    begin = "BEGIN READ ONLY" if reading else "BEGIN"
    await tx.connection.execute(_opening(begin, (("role", tx.role.value), *said)), prepare=False)


@lru_cache(maxsize=OPENINGS_KEPT)
def _opening(begin: str, said: tuple[tuple[str, str], ...]) -> bytes:
    """Give the statements that begin a transaction; whoever asks once asks again."""
    one = sql.SQL("SET LOCAL {} TO {}")
    told = [one.format(sql.SQL(name), sql.Literal(value)) for name, value in said]  # the names are our own
    return sql.SQL("; ").join([sql.SQL(begin), *told]).as_bytes(None)


def _goes_on(tx: Transaction) -> bool:
    """Whether statements are still carried out; after a failure only the end of a savepoint lets them."""
    return tx.connection.info.transaction_status is TransactionStatus.INTRANS


async def _take(tx: Transaction) -> None:
    await _set(tx, {"role": tx.role.value, **_confinement(tx, tx.actor)})


async def _enter(tx: Transaction) -> None:
    await tx.connection.execute(f"SET LOCAL ROLE {tx.role.value}".encode())


async def _confine(tx: Transaction, actor: Actor) -> None:
    await _set(tx, _confinement(tx, actor))


def _confinement(tx: Transaction, actor: Actor) -> dict[str, str]:
    return {
        "plantroom.organisation": str(tx.organisation or ""),
        "plantroom.tenant": str(actor.tenant_id or ""),
        "plantroom.contractor": str(actor.user_id or UUID(int=0)) if actor.contractor else "",
        "plantroom.places": _listed(actor.places),
        **{f"plantroom.clear_{what}": _listed(places) for what, places in actor.clearances},
    }


async def _set(tx: Transaction, settings: Mapping[str, str]) -> None:
    calls = b", ".join([b"set_config(%s, %s, true)"] * len(settings))
    await tx.connection.execute(b"SELECT " + calls, [word for setting in settings.items() for word in setting])


def _listed(places: frozenset[UUID] | None) -> str:
    return EVERYWHERE if places is None else ",".join(sorted(map(str, places)))


class Database:
    """The pool of one process, and perhaps a second one of a replica."""

    def __init__(self, dsn: str, pool_max: int = POOL_MAX, replica_dsn: str = "") -> None:
        """Prepare a pool for ``dsn`` (the login of plantroom_hub); nothing connects before ``open``."""
        self._pool = pool(dsn, pool_max)
        self.replica = Replica(replica_dsn, self._pool, pool_max) if replica_dsn else None

    async def open(self) -> None:
        """Start the pool; it connects in the background and by itself again after an outage."""
        await self._pool.open()
        if self.replica is not None:
            await self.replica.open()

    def pool(self) -> dict[str, int]:
        """Give how many connections there are, are free, may be, and how many requests wait for one."""
        said = self._pool.get_stats()
        names = {"size": "pool_size", "free": "pool_available", "most": "pool_max", "waiting": "requests_waiting"}
        return {ours: said.get(theirs, 0) for ours, theirs in names.items()}

    async def close(self) -> None:
        """Close all connections."""
        if self.replica is not None:
            await self.replica.close()
        await self._pool.close(timeout=2)

    @asynccontextmanager
    async def transaction(
        self, organisation: UUID | None, actor: Actor = SYSTEM, role: Role = Role.APP
    ) -> AsyncIterator[Transaction]:
        """Open a transaction; commits at the end, rolls back on any exception.

        Raises UnavailableError when the database cannot be reached or goes away meanwhile, InvalidError for a text
        that no database keeps.
        """
        with _in_sentences():
            async with self._pool.connection() as connection:  # which commits or rolls back at its end
                tx = Transaction(connection, organisation, actor, role)
                await _begin(tx)
                yield tx

    @asynccontextmanager
    async def reading(self, organisation: UUID | None, actor: Actor = SYSTEM) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads, on the replica where there is one that is well, else on the primary.

        For what may be some seconds old: charts, lists of readings, exports; not for a page that shows what its visitor
        has just done.  Raises what ``transaction`` raises.
        """
        with _in_sentences():
            async with AsyncExitStack() as stack:
                connection = await self._near(stack)
                if connection is None:
                    connection = await stack.enter_async_context(self._pool.connection())
                tx = Transaction(connection, organisation, actor)
                await _begin(tx, reading=True)
                yield tx

    async def _near(self, stack: AsyncExitStack) -> AsyncConnection[Any] | None:
        """Give a connection to the replica until the end of ``stack``, None where it is not to be used now."""
        if self.replica is None or not self.replica.usable:
            return None
        try:
            return await stack.enter_async_context(self.replica.pool.connection(timeout=WAIT_S))
        except (OperationalError, PoolTimeout) as error:
            self.replica.lose(error)
            return None


@contextmanager
def _in_sentences() -> Iterator[None]:
    """Turn what a server cannot do now, or a text that it does not keep, into our own errors."""
    try:
        yield
    except DiskFull as error:
        raise UnavailableError("The database's disk is full; free space there.") from error
    except DataError as error:
        if error.sqlstate is not None:  # the server's own: a number out of range and the like, which is a bug
            raise
        raise InvalidError("A text holds a character that cannot be kept (NUL); take it out.") from error
    except (OperationalError, PoolTimeout) as error:
        raise UnavailableError(f"The database cannot be reached now ({type(error).__name__}); try again.") from error
