"""The file of keys under which second factors and the like lie in the database, and who needs a second factor."""

from datetime import UTC, datetime
from pathlib import Path

from deploy import state
from deploy.settings import Settings
from hub.access import vault
from hub.access.door import Keeper
from hub.access.vault import Vault
from rules.model.sign_in import OFFERED


def path(settings: Settings) -> Path:
    """Give where the keys are: the configured file, or ``keys.json`` in the data directory, made at the first start."""
    if settings.keys_file is not None:
        return settings.keys_file
    own = settings.data / "keys.json"
    if not own.exists():
        settings.data.mkdir(parents=True, exist_ok=True)
        state.write_private(own, vault.make(datetime.now(UTC)).written())
    return own


def keeper(settings: Settings) -> Keeper:
    """Give what the door keeps to; raises KeysError."""
    return Keeper(Vault.of(path(settings)), OFFERED if settings.second_factor == "offered" else None)
