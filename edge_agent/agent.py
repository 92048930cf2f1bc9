"""The edge agent: one process per gateway, wired here."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from drivers.catalogue import driver_of
from edge_agent import backfill as history
from edge_agent.actuator import Actuator
from edge_agent.clock import Clock, wall_clock
from edge_agent.commander import Commander
from edge_agent.config import EdgeConfig
from edge_agent.garbage import collect_seldom
from edge_agent.health import Health
from edge_agent.journal import Journal, JournalError
from edge_agent.link import Broker
from edge_agent.poller import LinePoller
from edge_agent.publisher import Publisher
from edge_agent.roster import Roster
from edge_agent.spool import Spool, SpoolUnusableError

RESTART_WAIT_S = 5.0
CLIPS = "clips"  # folder of what cameras saw, beside the spool

log = logging.getLogger(__name__)


async def run(config: EdgeConfig, broker: Broker, data_dir: Path, *, backfill: Path | None = None) -> None:
    """Poll, spool and publish until cancelled.

    ``backfill`` is a logger file that is spooled once, before polling starts.  Raises SpoolUnusableError when another
    agent holds the spool, InvalidBackfillError for a bad file; a dead broker or device only makes it wait.
    """
    path = data_dir / f"edge-{config.gateway}.sqlite"
    spool = await asyncio.to_thread(Spool, path, max_mb=config.spool_max_mb)
    spool.follow(config.retention)
    try:
        if backfill is not None:
            await asyncio.to_thread(history.bring_in, backfill, config, spool, wall_clock())
        journal = await asyncio.to_thread(_journal, data_dir / f"edge-{config.gateway}.commands.sqlite")
        try:
            await _work(config, broker, spool, journal, data_dir / CLIPS)
        finally:
            journal.close()
    except* SpoolUnusableError as group:
        raise SpoolUnusableError(str(_first(group))) from None
    finally:
        spool.close()


def _journal(path: Path) -> Journal:
    try:
        return Journal(path, wall_clock())
    except JournalError as error:
        log.error("%s. Until the gateway starts again it polls and carries out no command", error)  # noqa: TRY400
        return Journal.refusing(wall_clock())


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _work(config: EdgeConfig, broker: Broker, spool: Spool, journal: Journal, clips: Path) -> None:
    clock, health, roster = Clock(spool.newest), Health(), Roster(config, spool.points())
    actuator = Actuator()
    commander = Commander(config.allowances, actuator, journal, now=clock.now, health=health)
    publisher = Publisher(config, broker, spool=spool, roster=roster, clock=clock, health=health, commander=commander)

    def polling(line_number: int) -> Callable[[], Coroutine[Any, Any, None]]:
        line = config.lines[line_number]
        return lambda: LinePoller(
            line,
            driver_of(line.line, clock.now, clips),
            spool=spool,
            publisher=publisher,
            roster=roster,
            health=health,
            now=clock.now,
            actuator=actuator,
        ).run()

    log.info(
        "gateway %s: %d lines, %d devices, %d frames waiting in the spool",
        config.gateway,
        len(config.lines),
        len(config.devices),
        spool.depth(),
    )
    collect_seldom()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_supervise("publisher", publisher.run))
        for number, line in enumerate(config.lines):
            tasks.create_task(_supervise(f"line {line.code}", polling(number)))
        tasks.create_task(_supervise("commander", commander.run))


async def _supervise(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a part for ever: a bug in one part is logged and must not stop the others."""
    while True:
        try:
            await work()
        except SpoolUnusableError:
            raise  # nothing can be kept any more: the process ends with the sentence, and its start saves what it can
        except Exception:  # the supervisor: the only broad catch of this process
            log.exception("%s failed and starts again in %g s", name, RESTART_WAIT_S)
        await asyncio.sleep(RESTART_WAIT_S)
