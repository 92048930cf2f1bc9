"""The platform's own health: what is beyond its limit, and what every job did last."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from hub.health import service as health
from hub.health.findings import KINDS, findings
from web.session import ConsoleVisit
from web.words import N_

router = APIRouter()
RUNBOOK = "deploy/runbook.md"

STATES = {
    "gateway-silent": N_("Gateway silent"),
    "spool-filling": N_("Spool filling"),
    "clock-skew": N_("Clock of a gateway is wrong"),
    "two-edges-of-one-name": N_("Two gateways of one name"),
    "certificate-expiring": N_("Certificate ends soon"),
    "rollups-late": N_("Rollups late"),
    "jobs-not-held": N_("Nobody does the jobs"),
    "job-failing": N_("A job fails"),
    "quarantine-growing": N_("Quarantine growing"),
    "backup-too-old": N_("Backup too old"),
    "audit-anchor-mismatch": N_("Audit record is not what its anchor saw"),
    "replica-lagging": N_("Replica lagging"),
    "disk-full": N_("Disk nearly full"),
}


@router.get("/platform")
async def show(visit: ConsoleVisit) -> HTMLResponse:
    """Show every state, those that need somebody first."""
    async with visit.transaction() as tx:
        marks = await health.marks(tx)
        found = findings(marks, await health.gateways(tx), visit.now)
        well = [kind for kind in KINDS if kind not in {one.kind for one in found}]
        backup = next((mark for mark in marks if mark.kind == "backup"), None)
        jobs = [mark for mark in marks if mark.kind == "job"]
        said = {"found": found, "well": well, "states": STATES, "runbook": RUNBOOK, "jobs": jobs, "backup": backup}
        return await visit.page(tx, "console/platform.html", **said)
