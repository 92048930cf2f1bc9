"""A gateway that is killed while it tries a pushed configuration: it goes on, and rolls back by itself."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.broker import Broker as EmbeddedBroker
from rules.wire.configuration import State, digest
from tests.field import Meter, device_text, free_port, serving, site_text, until, write_site
from tests.pushing import Pusher

CONFIRM_S = 6.0
EDGE = f"""
import asyncio, sys
from pathlib import Path
from edge_agent import agent, configuration, trial
from edge_agent.config import load
from edge_agent.link import Broker
configuration.CONFIRM_S, trial.SETTLE_S = {CONFIRM_S}, 0.5
site = Path(sys.argv[1])
name, word = (text or None for text in sys.argv[4:6])
asyncio.run(agent.run(load(site), Broker(sys.argv[2], int(sys.argv[3]), name, word), site.parent, site=site))
"""


@asynccontextmanager
async def edge(site: Path, broker: EmbeddedBroker) -> AsyncIterator[asyncio.subprocess.Process]:
    account = (broker.host, str(broker.port), broker.username or "", broker.password or "")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", EDGE, str(site), *account)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_gateway_killed_within_a_trial_goes_on_with_it_and_rolls_it_back(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    port, one = free_port(), Meter(1)
    site = write_site(tmp_path, site_text(port))
    hub = Pusher(broker.host, broker.port, broker.username, broker.password)
    hub.start()
    bad = site_text(port, device_text("EM-1", 9))
    try:
        async with serving(port, one):
            async with edge(site, broker):
                await until(lambda: hub.state() is State.LOCAL and len(hub.readings) > 20, 20)
                hub.push(1, bad)
                await until(lambda: hub.state() is State.TRIAL, 20)
            hub.told = None
            async with edge(site, broker):
                await until(lambda: hub.told is not None and hub.told.state is not State.LOCAL, 20)
                await until(lambda: hub.state() is State.ROLLED_BACK, 30)
                assert hub.told is not None
                assert hub.told.sha256 == digest(site_text(port))
                stood = len(one.asked)
                await until(lambda: len(one.asked) > stood + 2)
            stood = len(one.asked)
            async with edge(site, broker):
                await until(lambda: len(one.asked) > stood + 2, 20)
                await until(lambda: hub.state() is State.ROLLED_BACK, 20)
    finally:
        hub.stop()
