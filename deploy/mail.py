"""Where mails go: the mail server that is set, else files in the data directory."""

from deploy.doctor_check import Check
from deploy.settings import Settings, SettingsError
from hub.notify.post import Envelope, Folder, InvalidServerError, OfficeClosedError, Server, server

SENDER_OF_FILES = "plantroom@localhost"


def office(settings: Settings) -> Server | Folder:
    """Give what takes mails away; raises SettingsError."""
    if not settings.mail_server:
        envelope = Envelope(settings.mail_from or SENDER_OF_FILES, settings.public_address)
        return Folder(settings.data / "mails", envelope)
    try:
        envelope = Envelope(settings.mail_from, settings.public_address)
        return server(settings.mail_server, settings.mail_secret(), envelope)
    except InvalidServerError as error:
        raise SettingsError(
            f"PLANTROOM_MAIL_SERVER, PLANTROOM_MAIL_PASSWORD and PLANTROOM_MAIL_FROM: {error}."
        ) from None


def check(settings: Settings) -> Check:
    """Look whether mails can leave; without a server people get none."""
    try:
        found = office(settings)
    except SettingsError as error:
        return Check("Mail", ok=False, found="wrongly set", advice=str(error))
    if isinstance(found, Folder):
        advice = "Set PLANTROOM_MAIL_SERVER so that people get invitations and what waits for them."
        return Check(
            "Mail", ok=False, found=f"no mail server; mails are files in {found.path}", advice=advice, needed=False
        )
    try:
        found.greet()
    except OfficeClosedError as error:
        return Check("Mail", ok=False, found="no way out", advice=str(error))
    links = f"links begin with {settings.public_address}" if settings.public_address else "without links"
    return Check("Mail", ok=True, found=f"{found.host}:{found.port}, {links}", advice="")
