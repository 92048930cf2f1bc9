"""Database log-ins of the programs: the owner migrates, ``plantroom_hub`` does everything else."""

from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy import state
from deploy.settings import Settings
from hub.store.migrate import Telling, migrate, silent

HUB_LOGIN = "plantroom_hub"


def hub_password(data: Path) -> str:
    """Give the password of ``plantroom_hub``, kept in the data directory (mode 0600)."""
    data.mkdir(mode=state.DATA_MODE, parents=True, exist_ok=True)
    return state.password(data / "hub-password")


def hub_dsn(settings: Settings, dsn: str) -> str:
    """Turn the owner's DSN into the hub's; one that is the hub's already stays as it is."""
    if conninfo_to_dict(dsn).get("user") == HUB_LOGIN:
        return dsn
    return make_conninfo(dsn, user=HUB_LOGIN, password=hub_password(settings.data))


def replica(settings: Settings) -> str:
    """Give the hub's DSN of the configured replica, '' where there is none."""
    dsn = settings.replica()
    return hub_dsn(settings, dsn) if dsn else ""


def prepare(settings: Settings, dsn: str, progress: Telling = silent) -> str:
    """Bring the schema up to date when ``dsn`` is the owner's, and give the hub's DSN."""
    if conninfo_to_dict(dsn).get("user") != HUB_LOGIN:
        migrate(dsn, hub_password(settings.data), progress)
    return hub_dsn(settings, dsn)
