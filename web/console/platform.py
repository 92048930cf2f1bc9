"""The platform's own health: what is beyond its limit, and what every job did last."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from hub.health import service as health
from hub.health.findings import KINDS, findings
from web.session import ConsoleVisit

router = APIRouter()
RUNBOOK = "deploy/runbook.md"


@router.get("/platform")
async def show(visit: ConsoleVisit) -> HTMLResponse:
    """Show every state, those that need somebody first."""
    async with visit.transaction() as tx:
        marks = await health.marks(tx)
        found = findings(marks, await health.gateways(tx), visit.now)
        well = [kind for kind in KINDS if kind not in {one.kind for one in found}]
        backup = next((mark for mark in marks if mark.kind == "backup"), None)
        jobs = [mark for mark in marks if mark.kind == "job"]
        said = {"found": found, "well": well, "runbook": RUNBOOK, "jobs": jobs, "backup": backup}
        return await visit.page(tx, "console/platform.html", **said)
