"""Who is who at the broker: the names that certificates carry, and when one is renewed.  Pure.

A name is ``<site>/<gateway>``; the broker takes it for the user name, and the access list gives it the topics of that
gateway alone.  So nothing that means something in a topic or in that list may stand in a name.
"""

import re
from datetime import datetime, timedelta

RESERVED_SITE = "plantroom"  # its names are those of our own programs
HUB = f"{RESERVED_SITE}/hub"
BROKER = f"{RESERVED_SITE}/broker"
NAME_CHARACTERS_MAX = 64  # RFC 5280, appendix A.1: ub-common-name
RENEWED_AT_PART = 3  # renewed when the last third of its life begins
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class UnusableNameError(ValueError):
    """No certificate can carry that name; the sentence says why."""


def common_name(site: str, gateway: str) -> str:
    """Give the name of a gateway in its certificate and at the broker; raises UnusableNameError."""
    for what, code in (("site", site), ("gateway", gateway)):
        if not _CODE.fullmatch(code):
            raise UnusableNameError(
                f"The code {code[:NAME_CHARACTERS_MAX]!r} of the {what} cannot stand in a certificate: it has letters, "
                "digits, '_', '.' and '-' only and begins with a letter or digit."
            )
    if site.casefold() == RESERVED_SITE:
        raise UnusableNameError(f"The site code '{site}' is kept for Plantroom's own programs; give the site another.")
    name = f"{site}/{gateway}"
    if len(name) > NAME_CHARACTERS_MAX:
        raise UnusableNameError(
            f"'{name}' has {len(name)} characters, a certificate's name has at most {NAME_CHARACTERS_MAX}; "
            "shorten the code of the site or the gateway."
        )
    return name


def uri(site: str, gateway: str) -> str:
    """Give the same name as a URI, as it stands in the certificate's alternative names."""
    return f"urn:plantroom:gateway:{site}:{gateway}"


def renewal_due(not_before: datetime, not_after: datetime) -> datetime:
    """Give the moment from which a certificate is renewed: when a third of its life is left."""
    life: timedelta = not_after - not_before
    return not_after - life / RENEWED_AT_PART


def renewal_words(request: str) -> bytes:
    """Give the words that the present key signs when a gateway asks for another certificate."""
    return b"plantroom renewal\n" + request.encode()
