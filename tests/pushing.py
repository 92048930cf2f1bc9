"""A tiny hub that pushes configurations, and hears what becomes of them."""

from rules.wire import topics
from rules.wire.configuration import CONFIGURATION_STATE, State, Told, push_metric, told_of, wrap
from rules.wire.sparkplug import decode
from rules.wire.topics import Verb
from tests.field import TinyHub


class Pusher(TinyHub):
    """A hub that pushes, and hears what becomes of it."""

    told: Told | None = None

    def push(self, number: int, text: str) -> None:
        self.command(push_metric(wrap(number, text)))

    def state(self) -> State | None:
        return self.told.state if self.told else None

    def _take(self, topic_text: str, data: bytes) -> None:
        topic = topics.parse(topic_text)
        if topic is not None and topic.verb in (Verb.NBIRTH, Verb.NDATA):
            said = [metric.value for metric in decode(data).metrics if metric.name == CONFIGURATION_STATE]
            self.told = told_of(said[0]) if said else self.told
        super()._take(topic_text, data)
