"""What the web process is told when it starts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebSettings:
    """``dsn`` is the login of plantroom_hub, for the live channel.

    ``secure_cookies`` belongs on wherever people come by https; ``broadcast`` off leaves pages without live rows.
    """

    dsn: str
    secure_cookies: bool = False
    broadcast: bool = True
