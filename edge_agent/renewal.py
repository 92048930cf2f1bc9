"""When the gateway asks the hub for a new certificate, and what it does with the answer."""

import logging
from datetime import datetime, timedelta

from edge_agent import births
from edge_agent.identity import Identity, IdentityError
from rules.wire import identity, topics
from rules.wire.sparkplug import Metric

ASK_EVERY = timedelta(hours=1)

log = logging.getLogger(__name__)


class Renewal:
    """Renewals of one gateway; its methods touch files, so they are called off the event loop."""

    def __init__(self, own: Identity) -> None:
        self._own = own
        self._due_at: datetime | None = None
        self._ends_at: datetime | None = None
        self._asked_at: datetime | None = None

    def begin(self, now: datetime) -> None:
        """Look at the files before a connection; raises IdentityError when there is no way to connect by them."""
        self._own.settle()
        held = self._own.held(now)
        self._ends_at = held.not_valid_after_utc
        self._due_at = identity.renewal_due(held.not_valid_before_utc, held.not_valid_after_utc)

    def wish(self, now: datetime) -> tuple[Metric, ...]:
        """Give what to send along for a new certificate: nothing before it is due, and once per ASK_EVERY."""
        if self._due_at is None or now < self._due_at:
            return ()
        if self._asked_at is not None and now - self._asked_at < ASK_EVERY:
            return ()
        self._asked_at = now
        try:
            asked = self._own.request()
        except IdentityError as error:
            log.error("%s", error)  # noqa: TRY400  one sentence says it all
            return ()
        log.warning("the certificate ends at %s; asking the hub for another", self._ends_at)
        said = {topics.CERTIFICATE_HELD: asked.held, topics.CERTIFICATE_PROOF: asked.proof}
        return (births.certificate_request(now, asked.request, said),)

    def born(self) -> None:
        """Ask anew: whoever wants all births again has not understood what was said since the last ones."""
        self._asked_at = None

    def take(self, pem: str, now: datetime) -> bool:
        """Take a certificate that came into use; whether it is right, and so the connection is made anew."""
        try:
            until = self._own.accept(pem, now)
        except IdentityError as error:
            log.warning("%s", error)
            return False
        self._asked_at = None
        log.info("the gateway has a new certificate until %s and connects again with it", until)
        return True
