"""The commander: takes commands of the hub, decides, has them carried out, and answers until the hub has heard.

A command is written into the journal before its device hears of it.  One that comes again gets the answer that it got,
and does nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime

from edge_agent.actuator import Actuator
from edge_agent.health import Health
from edge_agent.journal import Journal, JournalError
from rules.control.command import Allowance, Answer, Command, Outcome, fault
from rules.wire.command import answer_metric, command_of
from rules.wire.sparkplug import MalformedPayloadError, Metric, decode

WAITING_MAX = 200  # messages
AT_ONCE_MAX = 20  # commands that are being carried out
METRICS_MAX = 20  # in one message
ANSWERS_AT_ONCE_MAX = 50  # said again in one message
INTERRUPTED = "the gateway was stopped while it carried this out; whether the device took it is not known"

log = logging.getLogger(__name__)


def _free(_point: str, _value: float | None) -> str:
    return ""


class Commander:
    """Commands of one gateway.  ``blocked`` gives what speaks against setting a point to a value, '' for nothing."""

    def __init__(
        self,
        allowances: Mapping[str, Allowance],
        actuator: Actuator,
        journal: Journal,
        *,
        now: Callable[[], datetime],
        health: Health,
        blocked: Callable[[str, float | None], str] = _free,
    ) -> None:
        self._allowances = allowances
        self._actuator = actuator
        self._journal = journal
        self._now = now
        self._health = health
        self._blocked = blocked
        self._inbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(WAITING_MAX)
        self._deciding = asyncio.Lock()
        self._places = asyncio.Semaphore(AT_ONCE_MAX)
        self._unheard = {answer.id: answer for answer in journal.unheard()}
        self._fresh: list[str] = list(self._unheard)
        self._nudge: Callable[[], None] = lambda: None

    def allow(self, allowances: Mapping[str, Allowance]) -> None:
        """Go by another list from now on."""
        self._allowances = allowances

    def tell(self, nudge: Callable[[], None]) -> None:
        """Say whom to wake when there is an answer."""
        self._nudge = nudge

    def offer(self, device: str, payload: bytes) -> None:
        """Take a DCMD; too many at once are left out, and the hub sends them again."""
        try:
            self._inbox.put_nowait((device, payload))
        except asyncio.QueueFull:
            self._health.refused_commands += 1
            log.warning("a command for '%s' was left out: %d wait already", device, WAITING_MAX)

    def answers(self) -> tuple[Metric, ...]:
        """Give the answers to say now, each once until ``repeat``."""
        now, self._fresh = self._fresh[:ANSWERS_AT_ONCE_MAX], self._fresh[ANSWERS_AT_ONCE_MAX:]
        return tuple(answer_metric(self._unheard[number]) for number in now if number in self._unheard)

    def repeat(self) -> None:
        """Have every answer said again that the hub has not heard."""
        self._fresh = list(self._unheard)

    async def heard(self, numbers: Iterable[str]) -> None:
        """Note that the hub has heard some answers."""
        known = [number for number in numbers if self._unheard.pop(number, None) is not None]
        if known:
            with suppress(JournalError):  # it is only said once more after a restart
                await asyncio.to_thread(self._journal.heard, known)

    async def run(self) -> None:
        """Carry out what comes until cancelled; first answer for what a restart has interrupted."""
        async with asyncio.TaskGroup() as tasks:
            for entry in await asyncio.to_thread(self._journal.unfinished):
                tasks.create_task(self._account_for(entry.id, entry.point))
            while True:
                device, payload = await self._inbox.get()
                for command in self._read(device, payload):
                    await self._places.acquire()
                    tasks.create_task(self._take(command)).add_done_callback(lambda _: self._places.release())

    def _read(self, device: str, payload: bytes) -> list[Command]:
        try:
            return _commands(device, payload)
        except MalformedPayloadError as error:
            self._health.refused_commands += 1
            log.warning("a command was refused: %s", error)
            return []

    async def _account_for(self, number: str, point: str) -> None:
        shown = await self._actuator.shown(point)
        answer = Answer(number, Outcome.UNCERTAIN, self._now(), shown, INTERRUPTED)
        log.warning("command %s for '%s': %s", number, point, INTERRUPTED)
        await self._finish(answer)

    async def _take(self, command: Command) -> None:
        async with self._deciding:
            known = await asyncio.to_thread(self._journal.find, command.id)
            if known is None and not await self._begin(command):
                return
        if known is not None:
            if known.answer is not None:
                self._say(known.answer)
            return
        answer = await self._actuator.set(
            command.point, command.value, by=command.by, now=self._now(), number=command.id
        )
        log.info(
            "command %s of %s for '%s': %s %s", command.id, command.by, command.point, answer.outcome, answer.reason
        )
        await self._finish(answer)

    async def _begin(self, command: Command) -> bool:
        """Decide, and write down what was decided; whether the command is to be carried out."""
        now = self._now()
        last_at = await asyncio.to_thread(self._journal.last_set, command.point)
        why = fault(command, self._allowances, last_at, now, blocked=self._blocked(command.point, command.value))
        if not why and command.issued_at < self._journal.born_at:
            why = "the command is older than what this gateway remembers; give it anew"
        try:
            if not why:
                await asyncio.to_thread(self._journal.begin, command, now)
                return True
            answer = Answer(command.id, Outcome.REFUSED, now, reason=why)
            await asyncio.to_thread(self._journal.refuse, command, answer)
        except JournalError as error:  # a command that cannot be remembered could be carried out twice
            answer = Answer(command.id, Outcome.REFUSED, now, reason=str(error))
        self._health.refused_commands += 1
        log.warning("command %s of %s was refused: %s", command.id, command.by, answer.reason)
        self._say(answer)
        return False

    async def _finish(self, answer: Answer) -> None:
        try:
            await asyncio.to_thread(self._journal.finish, answer)
        except JournalError as error:
            log.error("%s; the answer to command %s is lost if the gateway stops now", error, answer.id)  # noqa: TRY400  one sentence says it all
        self._say(answer)

    def _say(self, answer: Answer) -> None:
        self._unheard[answer.id] = answer
        self._fresh.append(answer.id)
        self._nudge()


def _commands(device: str, payload: bytes) -> list[Command]:
    metrics = decode(payload).metrics
    if len(metrics) > METRICS_MAX:
        raise MalformedPayloadError(f"a command for '{device}' sets {len(metrics)} points; {METRICS_MAX} at most")
    return [command_of(device, metric) for metric in metrics]
