import os
import shutil
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy import broker as broker_module
from deploy.broker import Broker, answers
from deploy.doctor_servers import refusal
from deploy.embedded import BrokerAddress
from deploy.state import AlreadyHeldError, Hold

PAYLOAD = bytes(range(256)) * 1200  # 307 kB


@pytest.fixture
def home(open_directory: Path) -> Iterator[Path]:
    folder = open_directory / f"broker-{time.monotonic_ns()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_broker(home: Path) -> Iterator[Broker]:
    server = Broker(home)
    server.start()
    yield server
    server.stop()


def address(server: Broker, password: str | None = None) -> BrokerAddress:
    return BrokerAddress(server.host, server.port, server.username, password or server.password)


def echo(server: Broker, payload: bytes) -> bytes:
    """Publish to ourselves at QoS 1 over MQTT 5; what came back."""
    got, came = [], threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(server.username, server.password)
    client.on_connect = lambda *_: client.subscribe("echo", qos=1)
    client.on_subscribe = lambda *_: client.publish("echo", payload, qos=1)
    client.on_message = lambda _client, _data, message: (got.append(message.payload), came.set())
    client.connect(server.host, server.port)
    client.loop_start()
    came.wait(5)
    client.disconnect()
    client.loop_stop()
    return got[0] if got else b""


def test_a_large_payload_crosses_and_a_wrong_password_does_not(broker: Broker) -> None:
    assert echo(broker, PAYLOAD) == PAYLOAD
    assert refusal(address(broker)) == ""
    assert "refuses the user name and password" in refusal(address(broker, "guess"))


def test_it_listens_on_loopback_only_and_keeps_its_secrets(own_broker: Broker, home: Path) -> None:
    listening = {  # /proc/net/tcp: local address, state 0A = listen
        line.split()[1].split(":")[0]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == own_broker.port
    }
    assert listening == {"0100007F"}
    for name in ("password", "broker.toml", "broker.log"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    echo(own_broker, PAYLOAD)
    assert refusal(address(own_broker, "guess"))
    assert own_broker.password not in own_broker.log.read_text()
    assert own_broker.password not in Path(f"/proc/{own_broker.child.pid}/cmdline").read_text()


def test_it_says_at_its_start_that_it_is_for_this_machine_only(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    server = Broker(home)
    server.start()
    server.stop()
    assert "on this machine only; it knows no rights per gateway" in caplog.text


def test_a_broker_killed_hard_starts_again_on_its_port(own_broker: Broker) -> None:
    port, password = own_broker.port, own_broker.password
    os.kill(own_broker.child.pid, signal.SIGKILL)
    assert own_broker.child.wait(5)
    own_broker.stop()
    own_broker.start()
    assert (own_broker.port, own_broker.password) == (port, password)
    assert echo(own_broker, b"again") == b"again"


def test_a_second_start_uses_the_running_broker_and_leaves_it_running(own_broker: Broker, home: Path) -> None:
    second = Broker(home)
    second.start()
    assert echo(second, b"shared") == b"shared"
    second.stop()
    assert own_broker.child.alive()
    pid = own_broker.child.pid
    started = time.monotonic()
    own_broker.stop()
    assert time.monotonic() - started < 2
    assert not Path(f"/proc/{pid}").exists()
    assert not answers("127.0.0.1", second.port)


def test_a_home_held_by_somebody_without_a_broker_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "START_TIMEOUT_S", 0.2)
    home.mkdir()
    holder = Hold(home)
    assert holder.take()
    with pytest.raises(AlreadyHeldError, match="its broker is not ready"):
        Broker(home).start()
    holder.release()
