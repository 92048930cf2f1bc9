"""The demo's park: a site file whose lines listen on free ports of this machine, and people who may sign in."""

import asyncio
import json
import re
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from deploy import state
from deploy.register import ACTOR
from hub.access import service as access
from hub.leases import service as leases
from hub.store.database import Database
from rules.model.site import SiteFile

SITES = Path(__file__).with_name("sites")
SITE = SITES / "riverside.toml"
RULES = SITES / "riverside.rules.yaml"
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # five bits each, none of which is taken for another
GROUPS, GROUP = 4, 4  # 80 bits, and still typed
HOST = "127.0.0.1"


@dataclass(frozen=True)
class LogIn:
    """One person of the demo, with the password in clear: it was made here, for this machine."""

    login: str
    role: str
    name: str
    password: str


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on; all are held until the last is found, so they differ."""
    held = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports: list[int] = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def place(source: Path, target: Path, ports: list[int]) -> None:
    """Write ``source`` with its line ports replaced, in their order, by ``ports``."""
    left = iter(ports)
    text = re.sub(r"(?m)^(\s*port\s*=\s*)\d+", lambda found: f"{found[1]}{next(left)}", source.read_text("utf-8"))
    target.write_text(text, "utf-8")


async def people(database: Database, organisation: UUID, file: SiteFile, kept: Path) -> list[LogIn]:
    """Make sure that the demo's people may sign in; their random passwords are made once, kept in ``kept`` (0600)."""
    log_ins = await asyncio.to_thread(_kept, file, kept)
    technicians = {t.login.lower(): (t.skills, t.zones) for t in file.technician}
    async with database.transaction(organisation, ACTOR) as tx:
        known = {user.login for user in await access.users(tx)}
        tenant_ids = {tenant.code: tenant.id for tenant in await leases.tenants(tx)}
        for person in log_ins:
            if person.login in known:
                continue
            skills, zones = technicians.get(person.login, ((), ()))
            tenant_id = tenant_ids[file.tenant[0].code] if person.role == "tenant" else None
            await access.add_user(
                tx, person.login, person.name, person.role, person.password,
                tenant_id=tenant_id, skills=skills, zones=zones,
            )  # fmt: skip
    return log_ins


def _kept(file: SiteFile, kept: Path) -> list[LogIn]:
    if not kept.exists():
        state.write_private(kept, json.dumps([asdict(person) for person in _made_up(file)], ensure_ascii=False))
    return [LogIn(**row) for row in json.loads(kept.read_text("utf-8"))]


def _made_up(file: SiteFile) -> list[LogIn]:
    plain = [
        ("admin", "administrator", "管理员"),
        ("manager", "manager", "园区经理"),
        ("engineer", "engineer", "值班工程师"),
        ("clerk", "billing", "收费员"),
        ("guard", "security", "安保主管"),
    ]
    return [
        *(LogIn(login, role, name, _password()) for login, role, name in plain),
        *(LogIn(t.login.lower(), "technician", t.name, _password()) for t in file.technician),
        LogIn("tenant", "tenant", file.tenant[0].name_zh, _password()),
    ]


def _password() -> str:
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))
