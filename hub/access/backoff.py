"""Back-off: whoever guesses wrong waits, ever longer, and keeps nobody else out.

Wrong guesses are counted three times: for the account from one place (a browser that was let in before, else a network
address), for the account from all strange places together, and for the address over all accounts.  A browser that the
account knows is held back by its own mistakes only, so that a stranger's guesses never lock the owner out of it.  Names
that nobody has are counted like others.  Guesses while somebody is held back are refused and not counted.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from hub.access.rows import Hold
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)

FAILURES_MAX = 100  # more are counted as many
DOUBLINGS_MAX = 20  # beyond any ``most``
KEPT = timedelta(days=2)
ROWS_MAX = 200_000
NAME_CHARACTERS_MAX = 64  # of what the server calls a client whose address it does not know


@dataclass(frozen=True, slots=True)
class Patience:
    """``free`` wrong guesses cost nothing, then the wait doubles from ``first`` up to ``most``.

    One failure is forgiven for every ``forgiven_every`` that passes.
    """

    free: int
    first: timedelta
    most: timedelta
    forgiven_every: timedelta

    def wait(self, failures: int) -> timedelta:
        """Give how long nobody may guess after so many wrong guesses."""
        beyond = min(failures, FAILURES_MAX) - self.free
        doubled = min(beyond - 1, DOUBLINGS_MAX)
        return min(self.first * 2**doubled, self.most) if beyond > 0 else timedelta()


PLACE = Patience(4, timedelta(seconds=30), timedelta(minutes=15), timedelta(hours=1))
ACCOUNT = Patience(50, timedelta(seconds=30), timedelta(minutes=15), timedelta(minutes=10))
ADDRESS = Patience(30, timedelta(seconds=30), timedelta(hours=1), timedelta(minutes=2))
CODES = Patience(20, timedelta(seconds=30), timedelta(minutes=15), timedelta(hours=1))  # who knows the password already
RESETS = Patience(10, timedelta(minutes=1), timedelta(hours=1), timedelta(minutes=6))  # mails asked for, by address


@dataclass(frozen=True, slots=True)
class Count:
    """One count of wrong guesses, and how patient it is."""

    key: bytes
    patience: Patience


Counts = tuple[Count, ...]


def counts(what: str, account: str, address: str, mark: bytes | None, wide: Patience = ACCOUNT) -> Counts:
    """Give what a guess counts to: ``what`` is guessed of ``account``, from an address or a browser with a ``mark``."""
    if mark is not None:
        return (Count(_key(what, account, mark.hex()), PLACE),)
    place = neighbourhood(address)
    return (
        Count(_key(what, account, place), PLACE),
        Count(_key(what, account), wide),
        Count(_key("address", place), ADDRESS),
    )


def of_address(what: str, address: str, patience: Patience) -> Counts:
    """Give what an attempt counts to that is bound to no account."""
    return (Count(_key(what, neighbourhood(address)), patience),)


def neighbourhood(address: str) -> str:
    """Give what stands for an address: of IPv6 the /64, for a customer has as many addresses as he likes there."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:NAME_CHARACTERS_MAX]
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


async def hold(tx: Transaction, counted: Counts) -> None:
    """Let guesses that come at the same time pass one after the other, until the transaction ends."""
    await tx.run(SQL["one_guess_at_a_time"], {"number": int.from_bytes(counted[0].key[:8], signed=True)})


async def held(tx: Transaction, counted: Counts, now: datetime) -> bool:
    """Whether somebody has to wait."""
    asked = {"keys": [count.key for count in counted], "now": now}
    return await tx.maybe(Hold, SQL["holds"], asked) is not None


async def count(tx: Transaction, counted: Counts, now: datetime) -> None:
    """Count a wrong guess."""
    for one in counted:
        forgiven_s = one.patience.forgiven_every.total_seconds()
        failed = {"key": one.key, "now": now, "forgiven_every_s": forgiven_s, "most": FAILURES_MAX}
        failures: int = await tx.value(SQL["count_failure"], failed)
        if wait := one.patience.wait(failures):
            await tx.run(SQL["hold_back"], {"key": one.key, "until": now + wait})


async def forgive(tx: Transaction, counted: Counts) -> None:
    """Forget the wrong guesses of a place from where the right one came; what strangers did stays counted."""
    await tx.run(SQL["forgive"], {"key": counted[0].key})


async def drop_old(tx: Transaction, now: datetime) -> None:
    """Forget counts that have grown old, and the oldest of too many."""
    await tx.run(SQL["drop_throttles"], {"before": now - KEPT, "most": ROWS_MAX})
