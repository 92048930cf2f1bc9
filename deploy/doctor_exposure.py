"""The doctor looks at what is fine for a trial and too open for a building; none of it keeps Plantroom from running."""

import stat
from pathlib import Path

from deploy.doctor_check import Check
from deploy.settings import Settings

OTHERS_MAY = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH  # passing through is harmless
LOOPBACK = ("127.", "::1", "localhost")


def checks(settings: Settings) -> list[Check]:
    """Examine where people and gateways come in and who can read the data; each finding is one sentence."""
    return [
        public_address(settings),
        cookies(settings),
        proxy(settings),
        broker(settings),
        in_clear(settings),
        data_mode(settings.data),
    ]


def public_address(settings: Settings) -> Check:
    """Look whether requests for other names are refused."""
    return _wish(
        "Public address",
        settings.public_address,
        "not set: any name is answered, and letters have nothing to link to",
        "Set PLANTROOM_PUBLIC_ADDRESS to what people type, like https://plantroom.example.com.",
    )


def cookies(settings: Settings) -> Check:
    """Look whether sessions travel encrypted only."""
    return _wish(
        "Cookies",
        "sent over https only" if settings.public_address.startswith("https://") else "",
        "sent without encryption too",
        "Put a proxy with TLS before the pages and an https address into PLANTROOM_PUBLIC_ADDRESS.",
    )


def proxy(settings: Settings) -> Check:
    """Look whether pages that strangers reach come straight from us, or a proxy hides who asks."""
    trusted = ", ".join(settings.trusted_proxies)
    alone = settings.web_host.startswith(LOOPBACK) and not settings.public_address
    well = f"{trusted} says for whom it speaks" if trusted else "none, and none is needed here"
    return _wish(
        "Proxy",
        well if trusted or alone else "",
        "none is trusted: behind one, all visitors look like one address and share its limits",
        "Set PLANTROOM_TRUSTED_PROXIES to the address of the proxy before the pages.",
    )


def in_clear(settings: Settings) -> Check:
    """Look which connections may leave this machine unencrypted."""
    excused = ", ".join(settings.unencrypted)
    return _wish(
        "In clear",
        "" if excused else "nothing leaves this machine unencrypted",
        f"{excused} may leave this machine unencrypted",
        "Take PLANTROOM_UNENCRYPTED away, or see that the network between is private.",
    )


def broker(settings: Settings) -> Check:
    """Look whether the broker keeps gateways apart."""
    return _wish(
        "Broker rights",
        f"{settings.broker_address} is configured" if settings.broker() else "",
        "the embedded broker keeps no gateway from speaking as another",
        "For a building use Mosquitto and set PLANTROOM_BROKER_ADDRESS.",
    )


def data_mode(data: Path) -> Check:
    """Look whether others on this machine can read the data."""
    if not data.is_dir():
        return _wish("Data rights", f"{data} is made at the first start", "", "")
    mode = stat.S_IMODE(data.stat().st_mode)
    return _wish(
        "Data rights",
        "" if mode & OTHERS_MAY else f"{data} is its owner's alone ({mode:o})",
        f"others on this machine can look into {data} ({mode:o})",
        f"Close it with: chmod 711 {data}",
    )


def _wish(name: str, well: str, open_: str, advice: str) -> Check:
    return Check(name, ok=bool(well), found=well or open_, advice=advice, needed=False)
