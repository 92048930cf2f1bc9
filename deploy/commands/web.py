"""``plantroom web``: the screens."""

from typing import Annotated

import typer

from deploy import foreground, metrics
from deploy.anchors import anchor_file
from deploy.commands.options import Data, Rules, check_address
from deploy.embedded import database as opened_database
from deploy.keys import keeper
from deploy.logins import prepare, replica
from deploy.providers import providers
from deploy.settings import read as read_settings
from hub.outbound import Allowed
from web import main
from web.settings import WebSettings

app = typer.Typer(help="The web server: console, phone, portal.", no_args_is_help=True)


@app.command()
def run(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 8080 by default.")] = None,
    rules: Rules = None,
    data: Data = None,
) -> None:
    """Serve the screens until stopped.  Example: plantroom web run --port 8080."""
    settings = read_settings(data=data, web_host=host, web_port=port)
    check_address(settings.web_host, settings.web_port)
    with opened_database(settings, patient=True) as dsn:
        screens = WebSettings(
            dsn=prepare(settings, dsn),
            replica_dsn=replica(settings),
            public_address=settings.public_address,
            certificate=settings.own_certificate(),
            trusted_proxies=settings.trusted_proxies,
            outbound=Allowed.parse(settings.outbound_allow),
            rules_files=tuple(rules or ()),
            anchors=anchor_file(settings),
            providers=providers(settings),
            keeper=keeper(settings),
        )
        foreground.run(main.serve(screens, settings.web_host, settings.web_port, metrics.served(settings)))
