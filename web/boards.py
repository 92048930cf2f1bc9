"""Boards: each holds the current rows of one live list and hands what changes to the sockets that look at it.

A notice says only that something changed.  The board asks anew (at most every REFRESH_EVERY_S), renders the rows
that differ once, and pushes them to everybody with the same list, filter, language, rights and places.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hub.access.rows import Visitor
from hub.errors import ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database
from hub.store.live import Change
from web.lists import Filters, LiveList
from web.session import zone_of

REFRESH_EVERY_S = 0.2
RETRY_S = 1.0
MAILBOX_MAX = 100
BOARDS_MAX = 1_000
ACCESS = "access"  # the kind of a change of somebody's session, roles or account (migration 0009)
DOUBT = ""

log = logging.getLogger(__name__)


class TooManyBoardsError(Exception):
    """More different lists are looked at than this process keeps."""


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two sockets share a board."""

    organisation: UUID
    name: str
    filters: tuple[tuple[str, str], ...]
    language: str
    actor: Actor  # of nobody in particular, but for a personal list


@dataclass(slots=True, eq=False)
class Mailbox:
    """What waits to be sent to one socket; ``full`` when it reads too slowly and has to start again.

    DOUBT among it says that ``owner`` may be gone, or may do less than before.
    """

    owner: Visitor
    waiting: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(MAILBOX_MAX))
    full: bool = False

    def concerns(self, change: Change) -> bool:
        """Whether ``change`` may have changed what the owner may do."""
        ours = change.organisation in (None, self.owner.home_id, self.owner.organisation_id)
        return change.kind in ("", ACCESS) and (change.id == str(self.owner.user_id) or (ours and not change.id))

    def put(self, message: str) -> None:
        """Leave a message."""
        try:
            self.waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.full = True


def now_iso() -> str:
    """Give the server's time, by which browsers reckon ages."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Board:
    """The current rows of one list for one audience."""

    def __init__(self, key: Key, live_list: LiveList, database: Database) -> None:
        self.key = key
        self.list = live_list
        self.mailboxes: set[Mailbox] = set()
        self.dirty = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._database = database
        self._rows: dict[str, Any] = {}
        self._html: dict[str, str] = {}
        self._ready = False

    def concerns(self, change: Change) -> bool:
        """Whether the list may look different after ``change``."""
        ours = change.organisation in (None, self.key.organisation)
        return ours and (not change.kind or change.kind in self.list.kinds)

    def join(self, mailbox: Mailbox) -> None:
        """Show the board to one more socket: all rows first, then what changes."""
        self.mailboxes.add(mailbox)
        if self._ready:
            mailbox.put(self._message("".join(self._html.values()), [], whole=True))

    async def keep(self) -> None:
        """Ask anew whenever something changed; runs until cancelled and outlives every failure."""
        self.dirty.set()
        while True:
            await self.dirty.wait()
            self.dirty.clear()
            try:
                await self._refresh()
            except Exception:
                log.exception("live list %s cannot be brought up to date; again in %.0f s", self.key.name, RETRY_S)
                self.dirty.set()
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(REFRESH_EVERY_S)

    async def _refresh(self) -> None:
        async with self._database.transaction(self.key.organisation, self.key.actor) as tx:
            zone = await zone_of(tx)
            try:
                rows = await self.list.query(tx, dict(self.key.filters))
            except (NotFoundError, ForbiddenError, InvalidError):  # it went to somebody else, or never was
                rows = []
        found = {self.list.key(row): row for row in rows}
        changed = {key: self._render(row, zone) for key, row in found.items() if self._rows.get(key) != row}
        gone = [key for key in self._rows if key not in found]
        self._html = {key: changed.get(key) or self._html[key] for key in found}
        self._rows = found
        first, self._ready = not self._ready, True
        if first or changed or gone:
            elements = [f"{self.list.name}-{key}" for key in gone]
            self._push(self._message("".join(changed.values()), elements, whole=first))

    def _render(self, row: Any, zone: ZoneInfo) -> str:
        return self.list.row(row, self.key.language, self.key.actor.rights or frozenset(), zone)

    def _message(self, html: str, gone: list[str], *, whole: bool) -> str:
        said = {"list": self.list.name, "whole": whole, "html": html, "gone": gone, "now": now_iso()}
        return json.dumps(said, ensure_ascii=False)

    def _push(self, message: str) -> None:
        for mailbox in self.mailboxes:
            mailbox.put(message)


class Boards:
    """The boards of this process, made for the first socket that looks and dropped after the last."""

    def __init__(self, database: Database, lists: dict[str, LiveList]) -> None:
        self.lists = lists
        self._database = database
        self._boards: dict[Key, Board] = {}
        self._open: set[Mailbox] = set()

    @contextmanager
    def mailbox(self, owner: Visitor) -> Iterator[Mailbox]:
        """Give a socket a mailbox for as long as it is open."""
        made = Mailbox(owner)
        self._open.add(made)
        try:
            yield made
        finally:
            self._open.discard(made)

    def join(self, who: Visitor, name: str, filters: Filters, mailbox: Mailbox) -> Board:
        """Let a socket look at a list; raises TooManyBoardsError."""
        live_list = self.lists[name]
        actor = who.actor(live_list.right)
        if not live_list.personal:
            actor = replace(actor, name="plantroom/web", user_id=None)
        key = Key(who.organisation_id, name, tuple(sorted(filters.items())), who.language, actor)
        board = self._boards.get(key)
        if board is None:
            if len(self._boards) >= BOARDS_MAX:
                raise TooManyBoardsError
            board = self._boards[key] = Board(key, live_list, self._database)
            board.task = asyncio.create_task(board.keep(), name=f"board {name}")
        board.join(mailbox)
        return board

    def leave(self, board: Board, mailbox: Mailbox) -> None:
        """Take a socket away; the last one closes the board."""
        board.mailboxes.discard(mailbox)
        if not board.mailboxes and board.task is not None:
            board.task.cancel()
            self._boards.pop(board.key, None)

    async def follow(self, changes: Callable[[], AsyncIterator[Change]]) -> None:
        """Tell boards and sockets what changed, for as long as changes come."""
        async for change in changes():
            for mailbox in self._open:
                if mailbox.concerns(change):
                    mailbox.put(DOUBT)
            for board in self._boards.values():
                if board.concerns(change):
                    board.dirty.set()

    async def close(self) -> None:
        """Stop every board."""
        tasks = [board.task for board in self._boards.values() if board.task is not None]
        self._boards.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
