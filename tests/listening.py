"""Wait until a hub listens at the broker: what is sent before that nobody hears, or only half of it."""

import asyncio
import json
from datetime import datetime
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from deploy.broker import Broker
from rules.wire.sparkplug import millis


async def listening(broker: Broker, since: datetime, within_s: float = 40) -> None:
    """Return when a hub that connected at or after ``since`` has subscribed; an earlier one's word may be retained."""
    there, loop = asyncio.Event(), asyncio.get_running_loop()

    def hear(_client: Client, _data: Any, message: Any) -> None:
        said = json.loads(message.payload)
        if said["online"] and said["timestamp"] >= millis(since):
            loop.call_soon_threadsafe(there.set)

    client = Client(CallbackAPIVersion.VERSION2, "test-listening", protocol=MQTTProtocolVersion.MQTTv5)
    client.username, client.password = broker.username, broker.password
    client.on_message = hear
    client.on_connect = lambda one, *_: one.subscribe("spBv1.0/STATE/#", qos=1)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        await asyncio.wait_for(there.wait(), within_s)
    finally:
        client.disconnect()
        client.loop_stop()
