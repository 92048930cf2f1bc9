"""The embedded MQTT 5 broker: ``iotcore`` (rumqttd) in a process of its own, on 127.0.0.1 only.

Chosen over a Mosquitto on the machine, so that the embedded broker is the same everywhere; measured to do what the
walk needs: MQTT 5, password, wills, retained messages, shared subscriptions, payloads up to 1 MB.  It knows no ACL
and forgets everything at its end; readings do not depend on it, because the edge keeps each until the hub has
committed it.  A wrong password closes the connection without a reason code.  For a building use Mosquitto.

``python -m deploy.broker --config FILE`` is the process; ``Broker`` starts and stops it.
"""

import argparse
import logging
import signal
import socket
import sys
import time
from pathlib import Path

from iotcore.iotcore import IotCoreBroker

from deploy import logs, state
from deploy.child import POLL_S, Child, free_port, launch, log_tail
from deploy.state import AlreadyHeldError, Hold

USERNAME = "plantroom"
HOST = "127.0.0.1"
MAX_PAYLOAD_BYTES = 1_048_576
MAX_CONNECTIONS = 500
MAX_IN_FLIGHT = 100
MAX_OUTGOING_PACKETS = 200
SEGMENT_BYTES = 10_485_760
SEGMENTS = 4
CONNECT_TIMEOUT_MS = 5_000
START_TIMEOUT_S = 10.0
PORT_TRIES = 5

CONFIG = """id = 0
[router]
id = 0
max_connections = {max_connections}
max_outgoing_packet_count = {max_outgoing}
max_segment_size = {segment_bytes}
max_segment_count = {segments}
[v5.plantroom]
name = "plantroom"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.plantroom.connections]
connection_timeout_ms = {connect_timeout_ms}
max_payload_size = {max_payload}
max_inflight_count = {max_in_flight}
[v5.plantroom.connections.auth]
{username} = "{password}"
"""


log = logging.getLogger(__name__)


class BrokerFailedError(RuntimeError):
    """The broker did not come up: the sentence carries the end of its log."""


class Broker:
    """One broker; ``start``, then ``host``, ``port``, ``username``, ``password``, then ``stop``."""

    name = "broker"
    stop_signal = signal.SIGTERM
    host = HOST
    username = USERNAME

    def __init__(self, home: Path) -> None:
        self._home = home
        self._hold: Hold | None = None
        self.child: Child | None = None
        self.port = 0

    @property
    def password(self) -> str:
        """The password, random, kept with mode 0600."""
        return state.password(self._home / "password")

    @property
    def log(self) -> Path:
        """The broker's log."""
        return self._home / "broker.log"

    @property
    def owned(self) -> bool:
        """Whether this process holds the broker (and so must stop it)."""
        return self._hold is not None

    def start(self) -> None:
        """Bring the broker up or find it running; it answers when this returns.

        Raises AlreadyHeldError or BrokerFailedError, each with one sentence.
        """
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        hold = Hold(self._home)
        until = time.monotonic() + START_TIMEOUT_S
        while not hold.take():  # another Plantroom's: use it, it may be starting at this moment
            self.port = state.last_port(self._home / "port")
            if self.port and answers(HOST, self.port):
                return
            if time.monotonic() > until:
                raise AlreadyHeldError(
                    f"Another Plantroom (process {hold.holder()}) holds {self._home} but its broker is not ready: "
                    "stop it, or give another --data."
                )
            time.sleep(POLL_S)
        self._hold = hold
        try:
            self._start_held()
            log.info(
                "the embedded broker answers at %s:%d, on this machine only; it knows no rights per gateway. For a "
                "building use Mosquitto: 'plantroom broker configure'",
                HOST,
                self.port,
            )
        except BaseException:
            self.stop()
            raise

    def _start_held(self) -> None:
        for _ in range(PORT_TRIES):
            self.spawn()
            if self._wait_ready():
                return
            self.port = 0
            (self._home / "port").unlink(missing_ok=True)
        raise BrokerFailedError(f"The MQTT broker did not start; the end of {self.log}: {log_tail(self.log)}")

    def spawn(self) -> Child:
        """Start the process without waiting for it, on the port of the last start when that is free."""
        self.port = free_port(self.port or state.last_port(self._home / "port"))
        state.write_private(self._home / "port", str(self.port))
        config = self._home / "broker.toml"
        state.write_private(config, self._config())
        argv = [sys.executable, "-m", "deploy.broker", "--config", str(config)]
        self.child = launch(argv, self.log, cwd=Path(__file__).parent.parent)
        return self.child

    def stop(self) -> None:
        """Stop the broker when it is ours."""
        if self.child is not None and self.owned:
            self.child.end(self.stop_signal)
        self.child = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _config(self) -> str:
        return CONFIG.format(
            host=HOST,
            port=self.port,
            username=USERNAME,
            password=self.password,
            max_connections=MAX_CONNECTIONS,
            max_outgoing=MAX_OUTGOING_PACKETS,
            segment_bytes=SEGMENT_BYTES,
            segments=SEGMENTS,
            connect_timeout_ms=CONNECT_TIMEOUT_MS,
            max_payload=MAX_PAYLOAD_BYTES,
            max_in_flight=MAX_IN_FLIGHT,
        )

    def _wait_ready(self) -> bool:
        until = time.monotonic() + START_TIMEOUT_S
        while self.child is not None and self.child.alive() and time.monotonic() < until:
            if answers(HOST, self.port):
                return True
            time.sleep(POLL_S)
        return False


def answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def run(config: Path) -> None:
    """Serve until a signal ends the process; the library's packet chatter stays silent (it shows topics)."""
    logs.set_up("broker", "text", debug=False, context=dict)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing to save: end at once
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    broker = IotCoreBroker(config_path=str(config))
    broker.check_ports()
    broker.run_forever()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description="The embedded MQTT broker of Plantroom.")
    parser.add_argument("--config", type=Path, required=True, help="rumqttd configuration, mode 0600")
    run(parser.parse_args().config)


if __name__ == "__main__":
    main()
