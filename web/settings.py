"""What the web process is told when it starts."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WebSettings:
    """``dsn`` is the login of plantroom_hub, for the live channel.

    ``secure_cookies`` belongs on wherever people come by https; ``broadcast`` off leaves pages without live rows;
    ``rules_files`` are those that the hub runs with: cause and advice of an alarm come from them.
    """

    dsn: str
    secure_cookies: bool = False
    broadcast: bool = True
    rules_files: tuple[Path, ...] = ()
