"""One running gateway: its parts, wired once, and what another configuration does to them."""

import asyncio
import logging
from pathlib import Path

from drivers.catalogue import driver_of
from edge_agent.actuator import Actuator
from edge_agent.clock import Clock
from edge_agent.commander import Commander
from edge_agent.config import EdgeConfig, PolledLine
from edge_agent.health import Health
from edge_agent.journal import Journal
from edge_agent.judgement import Judgement
from edge_agent.lines import Lines, Supervise
from edge_agent.link import Broker
from edge_agent.poller import LinePoller
from edge_agent.publisher import Publisher
from edge_agent.roster import Roster
from edge_agent.spool import Spool

CLIPS = "clips"  # folder of what cameras saw, beside the spool

log = logging.getLogger(__name__)


class Gateway:
    """Polls, judges and publishes by a configuration that may be exchanged at any time."""

    def __init__(
        self,
        config: EdgeConfig,
        broker: Broker,
        memory: tuple[Spool, Journal],
        folder: Path,
        tasks: asyncio.TaskGroup,
        how: Supervise,
    ) -> None:
        """``memory`` is the spool and the journal of commands; ``how`` runs a part for ever, in ``tasks``."""
        spool, journal = memory
        self.exchanging = asyncio.Lock()  # held by whoever exchanges the configuration
        self.config = config
        self._clips = folder / CLIPS
        self._spool = spool
        self._clock = Clock(spool.newest)
        self.health = self._health = Health()
        self._roster = Roster(config, spool.points())
        self._actuator = Actuator()
        self._commander = Commander(
            config.allowances,
            self._actuator,
            journal,
            now=self._clock.now,
            health=self._health,
            blocked=self._blocked,
        )
        self.publisher = Publisher(
            config,
            broker,
            spool=spool,
            roster=self._roster,
            clock=self._clock,
            health=self._health,
            commander=self._commander,
        )
        self.judgement = Judgement(
            config,
            self._actuator,
            spool=spool,
            publisher=self.publisher,
            roster=self._roster,
            health=self._health,
            now=self._clock.now,
            latches=folder / f"edge-{config.gateway}.latched.json",
        )
        self.lines = Lines(tasks, self._poller, how)
        self._tasks = tasks
        self._how = how

    def start(self) -> None:
        """Start everything."""
        self._tasks.create_task(self._how("publisher", self.publisher.run))
        self._tasks.create_task(self._how("judgement", self.judgement.run))
        self._tasks.create_task(self._how("commander", self._commander.run))
        self.lines.start(self.config.lines)

    async def apply(self, config: EdgeConfig) -> None:
        """Go by another configuration of the same gateway; what is as before goes on without a break."""
        before, self.config = self.config, config
        await self.lines.stop(config.lines)
        emptied = self._spool.depth() == 0
        turned = self._roster.apply(config, self._spool.points() if not emptied else set(), emptied=emptied)
        for device in sorted(turned.declared):
            self.publisher.redeclare(device)
        for device in sorted(turned.gone):
            self.publisher.announce(device, alive=False)
        self.judgement.apply(config)
        self._commander.allow(config.allowances)
        self._spool.follow(config.retention)
        self.lines.start(config.lines)
        if (before.acknowledge, before.spool_max_mb) != (config.acknowledge, config.spool_max_mb):
            log.warning("acknowledge and spool_max_mb count from the next start of the gateway")
        log.info(
            "gateway %s goes by another configuration: %d devices, of which %d changed; %d have left",
            config.gateway, len(config.devices), len(turned.declared), len(turned.gone),
        )  # fmt: skip

    def _blocked(self, point: str, value: float | None) -> str:
        return self.judgement.blocked(point, value)

    def _poller(self, line: PolledLine) -> LinePoller:
        return LinePoller(
            line,
            driver_of(line.line, self._clock.now, self._clips),
            spool=self._spool,
            publisher=self.publisher,
            roster=self._roster,
            health=self._health,
            now=self._clock.now,
            actuator=self._actuator,
            heed=self.judgement.heed,
        )
