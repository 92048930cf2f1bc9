"""Messages of a pull point: topic, source and data items, and what they mean at a door (Profile C)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from drivers.onvif.clock import moment
from drivers.onvif.markup import Node
from rules.model.event import BADGE_CHARACTERS_MAX

GRANTED = "AccessControl/AccessGranted/"
DENIED = "AccessControl/Denied/"
DOOR_ALARM = "Door/State/DoorAlarm"
ALARMS = {"DoorForcedOpen": "forced", "DoorOpenTooLong": "held"}  # DoorAlarmState of the Door Control service
_CARDS = ("Card", "CredentialToken", "CredentialHolderName")


@dataclass(frozen=True, slots=True)
class Told:
    """One message; ``topic`` is without prefixes, ``operation`` Initialized, Changed, Deleted or ''."""

    topic: str
    at: datetime | None  # by the device's clock
    operation: str
    source: Mapping[str, str]
    data: Mapping[str, str]

    @property
    def access(self) -> str:
        """'granted' or 'denied' where this is about somebody at a door, '' else."""
        if self.topic.startswith(GRANTED):
            return "granted"
        return "denied" if self.topic.startswith(DENIED) else ""

    @property
    def alarm(self) -> str | None:
        """The alarm state of a door; None where this is about something else."""
        return self.data.get("State") if self.topic == DOOR_ALARM else None

    @property
    def badge(self) -> str | None:
        """The card or credential that was shown; None where it does not say."""
        return next((self.data[name][:BADGE_CHARACTERS_MAX] for name in _CARDS if self.data.get(name)), None)


def messages(answer: Node) -> Iterator[Told]:
    """Give the messages of PullMessagesResponse; what has no topic or no message in it is passed over."""
    for wrapped in answer.all("NotificationMessage"):
        message = wrapped.first("Message", "Message")
        topic = "/".join(part.rpartition(":")[2] for part in wrapped.said("Topic").strip("/").split("/"))
        if message is not None and topic:
            yield Told(
                topic,
                moment(message.attribute("UtcTime")),
                message.attribute("PropertyOperation"),
                _items(message, "Source"),
                _items(message, "Data"),
            )


def _items(message: Node, part: str) -> dict[str, str]:
    return {item.attribute("Name"): item.attribute("Value") for item in message.all(part, "SimpleItem")}
