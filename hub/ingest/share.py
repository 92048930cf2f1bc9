"""How the sites are split between the workers that live.  Pure.

A site lies in one of SHARDS shards by its code; a shard is held by one worker.  Beside them there is the rest: sites
that nobody has registered, and the word that the hub is there (STATE).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from zlib import crc32

from rules.wire import topics
from rules.wire.topics import NAMESPACE

SHARDS = 256
REST = SHARDS  # the number of the rest, as if it were a shard
_NODE = ("NBIRTH", "NDEATH", "NDATA")
_DEVICE = ("DBIRTH", "DDEATH", "DDATA")
_SEEN_OF_ALL = frozenset({"NBIRTH", "NDEATH", "NDATA", "DBIRTH"})  # by who has the rest: enough to name a stranger


def shard_of(site: str) -> int:
    """Give the shard of a site."""
    return crc32(site.encode()) % SHARDS


def target(units: int, workers: Sequence[int], me: int) -> int:
    """Give how many of ``units`` the worker ``me`` should hold; ``workers`` are all, in an order that all see alike."""
    if me not in workers:
        return 0
    return units // len(workers) + (workers.index(me) < units % len(workers))


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker takes in: ``sites``, and with ``rest`` whatever is not in ``registered``.

    ``alone``: there is no other worker, so everything.
    """

    sites: frozenset[str] = frozenset()
    rest: bool = False
    alone: bool = False
    registered: frozenset[str] = frozenset()

    def takes(self, topic: str) -> bool:
        """Whether a message is this worker's."""
        if self.alone:
            return True
        parsed = topics.parse(topic)
        return self.rest if parsed is None else self.takes_site(parsed.site)

    def takes_site(self, site: str) -> bool:
        """Whether everything of a site is this worker's."""
        return self.alone or site in self.sites or (self.rest and site not in self.registered)

    def subscriptions(self) -> frozenset[str]:
        """Give the topics to subscribe to; none of them overlap, since a broker may then send a message twice."""
        if self.alone:
            return frozenset(_topic("+", verb) for verb in (*_NODE, *_DEVICE))
        of_all = _SEEN_OF_ALL if self.rest else frozenset[str]()
        of_sites = [verb for verb in (*_NODE, *_DEVICE) if verb not in of_all]
        return frozenset(
            [_topic("+", verb) for verb in of_all] + [_topic(site, verb) for site in self.sites for verb in of_sites]
        )


def _topic(site: str, verb: str) -> str:
    device = "/+" if verb in _DEVICE else ""
    return f"{NAMESPACE}/{site}/{verb}/+{device}"


NOTHING = Share()
EVERYTHING = Share(rest=True, alone=True)


def share(held: Collection[int], sites: Collection[str], *, alone: bool) -> Share:
    """Give the share of who holds these shards."""
    rest = REST in held
    if alone and rest and all(shard_of(site) in held for site in sites):
        return EVERYTHING
    mine = frozenset(site for site in sites if shard_of(site) in held and topics.valid_code(site))
    return Share(mine, rest, registered=frozenset(sites))
