"""The FastAPI application: wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextlib import suppress as ignore

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from hub.access.issuer import Issuer
from hub.alarms import definitions
from hub.api import commands as api_commands
from hub.api import completeness as api_completeness
from hub.api import consumption as api_consumption
from hub.api import latest as api_latest
from hub.api import readings as api_readings
from hub.api import routes as api
from hub.api import surveillance as api_surveillance
from hub.outbound import CheckedTransport
from hub.store import live as channel
from hub.store.database import Database
from web import account, errors, files, live, oidc, second_factor, sign_in, tokens, welcome, whereabouts
from web.boards import Boards
from web.console import (
    adoption,
    alarms,
    approvals,
    audit,
    badges,
    billing,
    commands,
    commissioning,
    completeness,
    consumption,
    corrections,
    deputies,
    flows,
    gateways,
    history,
    orders,
    overview,
    platform,
    points,
    privacy,
    roles,
    stills,
    tenants,
    users,
)
from web.lists import LiveList
from web.portal import papers
from web.security import Guard
from web.session import Needs
from web.settings import WebSettings
from web.technician import jobs, meters
from web.throttle import Places, Throttle
from web.witness import Witness

# FastAPI's own telemetry would hand requests and failures to whatever address a variable of the environment names.
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
}  # fmt: skip
PAGES = (
    sign_in, oidc, second_factor, welcome, account, tokens, users, roles, whereabouts, live, overview, alarms, orders,
    points, consumption, commands, corrections, gateways, completeness, adoption, history, commissioning, billing,
    approvals, deputies, flows, tenants, stills, badges, privacy, audit, platform, jobs, meters, papers,
)  # fmt: skip
LISTS: tuple[LiveList, ...] = (
    overview.TILES, alarms.LIST, alarms.CHIPS, orders.LIST, orders.SHEET, points.LIST, points.ONE, commands.LIST,
    gateways.LIST, jobs.LIST, jobs.JOB,
)  # fmt: skip


def create(database: Database, settings: WebSettings) -> FastAPI:
    """Give the application on an opened ``database``; raises a sentence when browser files are missing."""
    app = FastAPI(
        title="Plantroom", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_living, telemetry=NO_TELEMETRY
    )
    app.state.database = database
    app.state.settings = settings
    app.state.rules = definitions.load(settings.rules_files)
    app.state.boards = Boards(database, {one.name: one for one in LISTS})
    way_out = CheckedTransport(settings.outbound)
    app.state.issuers = {one.code: Issuer(one, way_out) for one in settings.providers}
    app.state.sockets = Places(settings.rates.sockets_per_user)
    app.mount(f"/static/{files.version()}", files.application())
    for page in PAGES:
        app.include_router(page.router)
    app.include_router(api.create(database, Needs))
    app.include_router(api_readings.create(Needs))
    app.include_router(api_latest.create(Needs))
    app.include_router(api_consumption.create(Needs))
    app.include_router(api_completeness.create(Needs))
    app.include_router(api_surveillance.create(Needs))
    app.include_router(api_commands.create(Needs))
    errors.install(app)
    app.add_middleware(Throttle, rates=settings.rates, say=errors.say)
    app.add_middleware(Guard, settings=settings, say=errors.say)
    app.add_middleware(Witness)
    return app


@asynccontextmanager
async def _living(app: FastAPI) -> AsyncIterator[None]:
    boards: Boards = app.state.boards
    settings: WebSettings = app.state.settings
    tasks = []
    if settings.broadcast:
        tasks.append(asyncio.create_task(boards.follow(lambda: channel.listen(settings.dsn)), name="live channel"))
    yield
    for task in tasks:
        task.cancel()
        with ignore(asyncio.CancelledError):
            await task
    await boards.close()
    for issuer in app.state.issuers.values():
        await issuer.close()
