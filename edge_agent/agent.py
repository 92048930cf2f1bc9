"""The edge agent: one process per gateway, wired here."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from edge_agent import backfill as history
from edge_agent import trial
from edge_agent.clock import wall_clock
from edge_agent.config import EdgeConfig, InvalidConfigError
from edge_agent.configuration import Configuration
from edge_agent.garbage import collect_seldom
from edge_agent.gateway import Gateway
from edge_agent.journal import Journal, JournalError
from edge_agent.link import Broker
from edge_agent.metrics import EdgeCollector
from edge_agent.spool import Spool, SpoolUnusableError
from edge_agent.watch import LOOK_S, Watch, watch

RESTART_WAIT_S = 5.0

log = logging.getLogger(__name__)


async def run(
    config: EdgeConfig,
    broker: Broker,
    data_dir: Path,
    *,
    backfill: Path | None = None,
    site: Path | None = None,
    metrics: CollectorRegistry | None = None,
) -> None:
    """Poll, spool and publish until cancelled.

    ``backfill`` is a logger file that is spooled once, before polling starts; ``site`` the file that ``config`` comes
    from, which is applied again whenever it changes; ``metrics`` is where its figures go.  Raises SpoolUnusableError
    when another agent holds the spool, InvalidBackfillError for a bad file; a dead broker or device only makes it wait.
    """
    path = data_dir / f"edge-{config.gateway}.sqlite"
    spool = await asyncio.to_thread(Spool, path, max_mb=config.spool_max_mb)
    spool.follow(config.retention)
    try:
        if backfill is not None:
            await asyncio.to_thread(history.bring_in, backfill, config, spool, wall_clock())
        journal = await asyncio.to_thread(_journal, data_dir / f"edge-{config.gateway}.commands.sqlite")
        try:
            await _work(config, broker, (spool, journal), data_dir, site, metrics)
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


async def _work(
    config: EdgeConfig,
    broker: Broker,
    memory: tuple[Spool, Journal],
    folder: Path,
    site: Path | None,
    metrics: CollectorRegistry | None,
) -> None:
    log.info(
        "gateway %s: %d lines, %d devices, %d frames waiting in the spool",
        config.gateway,
        len(config.lines),
        len(config.devices),
        memory[0].depth(),
        extra={"event": "edge.started", "site": config.site, "gateway": config.gateway},
    )
    file = None if site is None else watch(site)
    configuration = None if site is None else Configuration(site, folder, config, wall_clock)
    if configuration is not None:
        config = await asyncio.to_thread(configuration.begin)
    collect_seldom()
    async with asyncio.TaskGroup() as tasks:
        gateway = Gateway(config, broker, memory, folder, tasks, _supervise)
        if metrics is not None:
            metrics.register(EdgeCollector(gateway.health, memory[0], gateway.publisher))
        if file is not None and configuration is not None:
            gateway.publisher.tell(configuration.told)
            tasks.create_task(_supervise("site file", lambda: _follow(file, gateway, configuration)))
            tasks.create_task(_supervise("configuration", lambda: trial.judge(gateway, configuration)))
        gateway.start()


async def _follow(file: Watch, gateway: Gateway, configuration: Configuration) -> None:
    """Apply the site file whenever it changes; a broken one changes nothing and is said once."""
    while True:
        await asyncio.sleep(LOOK_S)
        if not await asyncio.to_thread(file.settled):
            continue
        async with gateway.exchanging:
            try:
                config = await asyncio.to_thread(configuration.changed)
            except InvalidConfigError as error:
                more = f" ({len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
                log.error("the site file is not used, all goes on as before: %s%s", error.problems[0], more)  # noqa: TRY400  one sentence says it all
            else:
                await gateway.apply(config)
                gateway.publisher.tell(configuration.told)


async def _supervise(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a part for ever: a bug in one part is logged and must not stop the others."""
    while True:
        try:
            await work()
        except SpoolUnusableError:
            raise  # nothing can be kept any more: the process ends with the sentence, and its start saves what it can
        except Exception:  # the supervisor: the only broad catch of this process
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from None  # what was in hand failed while it was ended
            log.exception("%s failed and starts again in %g s", name, RESTART_WAIT_S)
        await asyncio.sleep(RESTART_WAIT_S)
