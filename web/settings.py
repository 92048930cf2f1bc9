"""What the web process is told when it starts."""

from dataclasses import dataclass, field
from pathlib import Path

from hub.access.door import Keeper
from hub.access.issuer import Provider
from hub.access.vault import Vault
from hub.audit.anchor import AnchorFile
from hub.outbound import NOTHING, Allowed
from web.throttle import USUAL, Rates


@dataclass(frozen=True, slots=True)
class WebSettings:
    """``dsn`` is the login of plantroom_hub, also for the live channel; ``replica_dsn`` that of a replica, '' for none.

    ``public_address`` is what people type and what links in mails begin with, like https://plantroom.example.com; empty
    for any.  ``certificate`` and its key are for https without a proxy.  ``trusted_proxies`` (addresses and networks)
    may say for whom they speak.  ``rates`` hold back who asks too often.  ``outbound`` may be called although it lies
    inside.  ``broadcast`` off leaves pages without live rows.  ``rules_files`` are those that the hub runs with: cause
    and advice of an alarm come from them.  ``anchors`` is where the end of the audit record goes daily.  ``keeper``
    keeps the door: the keys of the second factors and who needs one; where none is given the keys end with the process.
    ``providers`` are other sign-ins; they lead back to ``public_address``.
    """

    dsn: str = field(repr=False)
    replica_dsn: str = field(default="", repr=False)
    public_address: str = ""
    certificate: tuple[Path, Path] | None = None
    trusted_proxies: tuple[str, ...] = ()
    rates: Rates = USUAL
    outbound: Allowed = NOTHING
    broadcast: bool = True
    rules_files: tuple[Path, ...] = ()
    anchors: AnchorFile | None = None
    providers: tuple[Provider, ...] = ()
    keeper: Keeper = field(default_factory=lambda: Keeper(Vault.passing()), repr=False)

    @property
    def secure_cookies(self) -> bool:
        """Whether people come by https only."""
        return self.public_address.startswith("https://")
