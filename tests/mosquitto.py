"""A real Mosquitto as ``plantroom broker configure`` sets it up, and clients that show what it lets them do."""

import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from paho.mqtt.client import Client as Paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from typer.testing import CliRunner

from deploy.cli import app
from tests.builders import Dsns
from tests.field import HOST, free_port

HUB_PASSWORD = "only for tests"
PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
WAIT_S = 5.0
SILENCE_S = 0.4  # after which nothing is taken to come any more

needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="Mosquitto is not installed (apt-get install mosquitto)")


@dataclass
class Installation:
    """A data directory with a database, as the commands see it."""

    folder: Path
    dsns: Dsns

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True)
        password = self.data / "hub-password"  # the role belongs to the whole server: it keeps the tests' password
        password.touch(0o600)
        password.write_text(HUB_PASSWORD)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def environment(self) -> dict[str, str]:
        return {"PLANTROOM_DATA": str(self.data), "PLANTROOM_DATABASE_DSN": self.dsns.owner}

    def plantroom(self, *words: str) -> Result:
        """Run a command; a refusal is in ``result.exception``."""
        return CliRunner().invoke(app, words, env=self.environment)

    def does(self, *words: str) -> str:
        """Run a command that goes well; gives what it says."""
        result = self.plantroom(*words)
        if result.exception is not None:
            raise result.exception
        return result.output

    def refuses(self, *words: str) -> str:
        """Run a command that is refused; gives the sentence."""
        result = self.plantroom(*words)
        assert result.exit_code != 0
        assert "Traceback" not in result.output
        return result.output if isinstance(result.exception, SystemExit) else str(result.exception)

    def enrol(self, site: str, gateway: str) -> Path:
        """Enrol a gateway; gives the directory with its three files."""
        out = self.folder / f"{site}-{gateway}"
        self.does("gateway", "enrol", site, gateway, "--out", str(out))
        return out


@dataclass
class Mosquitto:
    """The broker of an installation."""

    installation: Installation
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def files(self) -> Path:
        return self.installation.folder / "mosquitto"

    @property
    def log(self) -> str:
        return (self.installation.folder / "mosquitto.log").read_text()

    def configure(self, *more: str) -> str:
        where = ("--out", str(self.files), "--host", "broker.example", "--port", str(self.port), "--address", HOST)
        return self.installation.does("broker", "configure", *where, *more)

    def start(self) -> None:
        assert PROGRAM is not None
        with (self.installation.folder / "mosquitto.log").open("ab") as log:
            argv = [PROGRAM, "-c", str(self.files / "mosquitto.conf")]
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            try:
                socket.create_connection((HOST, self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"Mosquitto did not start: {self.log}")

    def reload(self) -> None:
        """What 'systemctl reload mosquitto' does."""
        assert self.process is not None
        count = self.log.count("Reloading config")
        self.process.send_signal(signal.SIGHUP)
        until_s = time.monotonic() + WAIT_S
        while self.log.count("Reloading config") == count:
            assert time.monotonic() < until_s, self.log
            time.sleep(0.02)
        time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(5)
            self.process = None

    def client(self, papers: Path | None, **more: Any) -> "Client":
        return Client(self.port, papers, self.installation.data / "hub" / "ca.pem", **more)

    def context(self, who: str) -> ssl.SSLContext:
        papers = self.installation.folder / who
        return context_of(papers, papers / "ca.pem")

    @contextmanager
    def tls(self, who: str | ssl.SSLContext, session: ssl.SSLSession | None = None) -> Iterator[ssl.SSLSocket]:
        """A bare TLS connection to the broker."""
        context = self.context(who) if isinstance(who, str) else who
        with (
            socket.create_connection((HOST, self.port), WAIT_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as tls,
        ):
            yield tls


@contextmanager
def installed(folder: Path, dsns: Dsns) -> Iterator[Installation]:
    folder.mkdir()
    folder.chmod(0o711)
    yield Installation(folder, dsns)
    shutil.rmtree(folder, ignore_errors=True)


def context_of(papers: Path | None, ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if papers is not None:
        context.load_cert_chain(papers / "certificate.pem", papers / "key.pem")
    return context


class Client:
    """An MQTT 5 client by the certificate in ``papers``: what it was told, and what it heard."""

    def __init__(
        self,
        port: int,
        papers: Path | None,
        ca: Path,
        *,
        name: str = "",
        will: tuple[str, bytes] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.connected = self.ended = False
        self.heard: list[tuple[str, bytes]] = []
        self.answers: dict[int, str] = {}
        self.refusal = ""
        self._port = port
        version = CallbackAPIVersion.VERSION2
        self.paho = Paho(version, name, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False)
        self.paho.tls_set_context(context or context_of(papers, ca))
        if will is not None:
            self.paho.will_set(*will, qos=1)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_subscribe = self._on_answer
        self.paho.on_publish = lambda _c, _d, mid, reason, _p: self.answers.__setitem__(mid, str(reason))
        self.paho.on_message = lambda _c, _d, message: self.heard.append((message.topic, bytes(message.payload)))

    def _on_connect(self, _client: Paho, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self.connected = not reason.is_failure
        self.refusal = str(reason) if reason.is_failure else ""

    def _on_disconnect(self, _client: Paho, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self.connected, self.ended = False, True
        self.refusal = self.refusal or str(reason)

    def _on_answer(self, _client: Paho, _data: Any, mid: int, reasons: Sequence[Any], _more: Any) -> None:
        self.answers[mid] = ", ".join(map(str, reasons))

    def open(self) -> bool:
        """Try to connect; whether it is let in."""
        try:
            self.paho.connect(HOST, self._port, 10)
        except OSError as error:
            self.refusal = str(error)
            return False
        self.paho.loop_start()
        return until(lambda: self.connected or self.ended) and self.connected

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> str:
        """Publish at QoS 1; gives the broker's answer."""
        return self._answer(self.paho.publish(topic, payload, qos=1, retain=retain).mid)

    def subscribe(self, topic: str) -> str:
        """Subscribe at QoS 1, without what we say ourselves; gives the broker's answer."""
        _, mid = self.paho.subscribe(topic, 1)
        assert mid is not None
        return self._answer(mid)

    def _answer(self, mid: int) -> str:
        until(lambda: mid in self.answers or self.ended)
        return self.answers.get(mid, "no answer")

    def hears(self, topic: str, payload: bytes) -> bool:
        return until(lambda: (topic, payload) in self.heard)

    def drop(self) -> None:
        """Let the connection break without a goodbye, so that the will is sent."""
        plain = self.paho.socket()
        assert plain is not None
        plain.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()
        self.paho._reset_sockets()  # it leaves the pair that wakes its thread to the garbage collector


def until(true: Callable[[], bool], within_s: float = WAIT_S) -> bool:
    until_s = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def tls_server(papers: Path) -> Iterator[int]:
    """Somebody who pretends to be the broker with the certificate in ``papers``; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / "certificate.pem", papers / "key.pem")
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(WAIT_S)

        def serve() -> None:
            try:
                plain, _ = server.accept()
                with plain:
                    context.wrap_socket(plain, server_side=True).close()
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()
