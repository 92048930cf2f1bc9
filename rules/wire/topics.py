"""Sparkplug B topics, and the names of the metrics that Plantroom adds."""

from dataclasses import dataclass
from enum import StrEnum

NAMESPACE = "spBv1.0"
_FORBIDDEN = frozenset("+#/ \t\n\x00")

REBIRTH = "Node Control/Rebirth"  # NCMD from any host: send all births again
BD_SEQ = "bdSeq"
# NBIRTH: identity of the spool file (text), made once with it.  In DBIRTH and DDATA it is optional: there it keeps
# the messages of two edges apart that use one name.
SPOOL = "Plantroom/Spool"
NUMBER = "Plantroom/Number"  # DDATA: spool number of this frame
# NCMD from the hub: highest contiguous number that it has committed.  NBIRTH: what the edge knows of that, which is
# what it has forgotten: lower numbers can never come.
COMMITTED = "Plantroom/Committed"
COMMITTED_OF = "Plantroom/CommittedOf"  # NCMD from the hub, beside COMMITTED: the spool that it speaks of
ANSWERED = "Plantroom/Answered"  # NCMD from the hub: ids of commands whose answers it has stored, spaces between them
DEPTH = "Plantroom/Depth"  # NDATA: frames waiting in the spool
FILL = "Plantroom/Fill"  # NDATA: how full the spool is, in percent of what the site file gives it
DROPPED = "Plantroom/Dropped"  # NDATA: readings and events that the spool could not keep, since it was made
SPOOL_BEFORE = "Plantroom/SpoolBefore"  # NBIRTH: identity of the damaged spool that this one was saved from
VERSION = "Plantroom/Version"  # NBIRTH: of the gateway's program, text
CLOCK = "Plantroom/Clock"  # NDATA: how many ms the gateway's clock has stepped since the last report
# NDATA: a certificate request (PEM), with the properties CERTIFICATE_HELD (PEM) and CERTIFICATE_PROOF (signature of the
# present key over it, hexadecimal).  NCMD from the hub: the certificate (PEM).
CERTIFICATE_REQUEST = "Plantroom/Certificate Request"
CERTIFICATE_HELD = "plantroom.certificate"
CERTIFICATE_PROOF = "plantroom.proof"
CERTIFICATE = "Plantroom/Certificate"

KIND = "plantroom.kind"  # DBIRTH property: counter, gauge or state
RESOLUTION = "plantroom.resolution"  # DBIRTH property: smallest step, decimal text
MODULUS = "plantroom.modulus"  # DBIRTH property: where a counter rolls over, decimal text
UNIT = "engUnit"  # DBIRTH property, the spelling that Ignition uses


class Verb(StrEnum):
    """Sparkplug message types."""

    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    NDATA = "NDATA"
    DDATA = "DDATA"
    NCMD = "NCMD"
    DCMD = "DCMD"


@dataclass(frozen=True, slots=True)
class Topic:
    """``spBv1.0/<site>/<verb>/<gateway>[/<device>]``."""

    site: str
    verb: Verb
    gateway: str
    device: str = ""

    def __str__(self) -> str:
        head = f"{NAMESPACE}/{self.site}/{self.verb}/{self.gateway}"
        return f"{head}/{self.device}" if self.device else head


def valid_code(code: str) -> bool:
    """Whether ``code`` can stand in a topic."""
    return bool(code) and not _FORBIDDEN & set(code)


def parse(topic: str) -> Topic | None:
    """Read a topic; None for one that is not of the form (STATE included)."""
    parts = topic.split("/")
    if len(parts) not in (4, 5) or parts[0] != NAMESPACE or parts[2] not in Verb.__members__ or not all(parts):
        return None
    verb = Verb(parts[2])
    if (len(parts) == 5) != verb.startswith("D"):  # noqa: PLR2004  # the device level
        return None
    return Topic(parts[1], verb, parts[3], parts[4] if len(parts) == 5 else "")  # noqa: PLR2004  # the device level
