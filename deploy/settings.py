"""Where things run: data directory, database, broker, web address; from ``PLANTROOM_*`` variables.

What is in a building stands in its site file, never here.  Empty means "embedded".  A secret comes from its variable
or, better, from the file that the variable of the same name with ``_FILE`` points to; it never shows in a log.
"""

import difflib
import logging
import os
import re
import stat
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deploy import transport
from hub.outbound import Allowed

PREFIX = "PLANTROOM_"
FOR_TESTS = PREFIX + "TEST_"  # what only tests read
APPLICATION = "plantroom"
ROOT_DATA = Path("/var/lib/plantroom/data")
MAX_SECRET_BYTES = 4096

ADDRESS = re.compile(r"([^:\s]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})")
MAX_PORT = 65535

PUBLIC_ADDRESS = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?/?")

OWN_PORT = {"http": "80", "https": "443"}  # browsers leave it out


def _words(value: object) -> object:
    return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]  # "a, b" in a variable
Port = Annotated[int, Field(ge=1, le=MAX_PORT)]


log = logging.getLogger(__name__)


class SettingsError(ValueError):
    """A setting is wrong: the sentence names its variable and what it should look like."""


def default_data() -> Path:
    """Give the platform's place for a user's data; root's own home is closed to the database's user: /var/lib."""
    return ROOT_DATA if os.geteuid() == 0 else Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))


class Settings(BaseSettings):
    """Frozen; read once at the start of a process by ``read``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    data: Path = Field(default_factory=default_data)
    database_dsn: SecretStr = SecretStr("")
    database_dsn_file: Path | None = None
    replica_dsn: SecretStr = SecretStr("")
    replica_dsn_file: Path | None = None
    broker_address: str = ""
    broker_username: str = ""
    broker_password: SecretStr = SecretStr("")
    broker_password_file: Path | None = None
    broker_ca: Path | None = None
    broker_certificate: Path | None = None
    broker_key: Path | None = None
    authority: Path | None = None
    web_host: str = "127.0.0.1"
    web_port: Port = 8080
    keys_file: Path | None = None
    second_factor: Literal["required", "offered"] = "required"
    public_address: str = ""
    web_certificate: Path | None = None
    web_key: Path | None = None
    unencrypted: Words = ()
    trusted_proxies: Words = ()
    outbound_allow: Words = ()
    metrics_port: Port | None = None  # of this program, on 127.0.0.1; None: it gives no metrics
    log_format: Literal["text", "json"] = "text"
    credentials: Path | None = None  # folder of devices' passwords and keys; drivers.credentials reads it
    anchor_file: Path | None = None
    oidc_file: Path | None = None
    mail_server: str = ""
    mail_from: str = ""
    mail_password: SecretStr = SecretStr("")
    mail_password_file: Path | None = None

    @field_validator("data", mode="after")
    @classmethod
    def _whole_path(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("broker_address", mode="after")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        match = ADDRESS.fullmatch(value)
        if value and (match is None or not 1 <= int(match[2]) <= MAX_PORT):
            raise ValueError(f"'{value}' is not host:port; write it like broker.example:8883")
        return value

    @field_validator("public_address", mode="after")
    @classmethod
    def _scheme_and_host(cls, value: str) -> str:
        if not value:
            return value
        match = PUBLIC_ADDRESS.fullmatch(value.lower())
        if match is None:
            raise ValueError(f"'{value}' is not an address of a site; write it like https://plantroom.example.com")
        scheme, host, port = match.groups()
        return f"{scheme}://{host}{'' if port in (None, OWN_PORT[scheme]) else f':{port}'}"

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(
                    f"'{one}' is not an address or a network; write it like 10.0.0.5,10.1.0.0/16"
                ) from None
        return value

    @field_validator("outbound_allow", mode="after")
    @classmethod
    def _hosts_and_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Allowed.parse(value)
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        for name in ("database_dsn", "replica_dsn", "broker_password", "mail_password"):
            if getattr(self, name).get_secret_value() and getattr(self, f"{name}_file"):
                raise ValueError(f"give {name} or {name}_file, not both")
        return self

    @model_validator(mode="after")
    def _safe_broker(self) -> Self:
        certificate, key, ca = self.broker_certificate, self.broker_key, self.broker_ca
        if (certificate or key) and not (certificate and key and ca):
            raise ValueError("broker_certificate, broker_key and broker_ca belong together; give all three")
        if certificate and certificate == key:
            raise ValueError("broker_certificate and broker_key are two files; one of them is renewed after the other")
        if self.broker_ca and not self.broker_address:
            raise ValueError("broker_ca is for a broker at broker_address; the embedded broker is on this machine only")
        host, _ = self.broker() or ("localhost", 0)
        if not self.broker_ca and transport.leaves(host):
            raise ValueError(
                f"the broker at {host} is spoken to by TLS only; give broker_ca, broker_certificate and broker_key "
                "('plantroom broker configure' and 'plantroom gateway enrol' make them)"
            )
        return self

    @field_validator("unencrypted", mode="after")
    @classmethod
    def _known_kinds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one not in transport.KINDS:
                raise ValueError(f"'{one}' cannot go in clear; choose from {', '.join(transport.KINDS)}")
        return value

    @model_validator(mode="after")
    def _safe_web(self) -> Self:
        if (self.web_certificate is None) != (self.web_key is None):
            raise ValueError("web_certificate and web_key belong together; give both")
        transport.check_web(
            self.web_host,
            encrypted=self.web_certificate is not None,
            public_address=self.public_address,
            unencrypted=self.unencrypted,
        )
        return self

    def dsn(self) -> str:
        """Give the configured DSN, empty for the embedded server; raises SettingsError or InClearError."""
        dsn = _secret(self.database_dsn, self.database_dsn_file)
        transport.check_database(dsn, self.unencrypted)
        return dsn

    def replica(self) -> str:
        """Give the DSN of the replica for reading, empty for none; raises SettingsError or InClearError."""
        dsn = _secret(self.replica_dsn, self.replica_dsn_file)
        transport.check_database(dsn, self.unencrypted, "PLANTROOM_REPLICA_DSN")
        return dsn

    def own_certificate(self) -> tuple[Path, Path] | None:
        """Give the files of the web's certificate and key, where it speaks https itself."""
        return (self.web_certificate, self.web_key) if self.web_certificate and self.web_key else None

    def password(self) -> str:
        """Give the configured broker password; raises SettingsError."""
        return _secret(self.broker_password, self.broker_password_file)

    def mail_secret(self) -> str:
        """Give the configured password of the mail server; raises SettingsError."""
        return _secret(self.mail_password, self.mail_password_file)

    def broker(self) -> tuple[str, int] | None:
        """Give host and port of the configured broker; None for the embedded one."""
        host, _, port = self.broker_address.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None


def read(**overrides: Any) -> Settings:
    """Read the settings; ``overrides`` are options of the command line, None means not given.

    Raises SettingsError with one sentence for the first thing wrong.
    """
    _refuse_unknown(os.environ)
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = PREFIX + "_".join(str(part) for part in first["loc"]).upper() if first["loc"] else "The settings"
        raise SettingsError(f"{where}: {first['msg'].removeprefix('Value error, ')}.") from None


def _refuse_unknown(names: Iterable[str]) -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in names:
        if name.startswith(PREFIX) and name not in known and not name.startswith(FOR_TESTS):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the known ones are {', '.join(known)}."
            raise SettingsError(f"{name} is not a setting of Plantroom: {hint}")


def _secret(value: SecretStr, file: Path | None) -> str:
    return value.get_secret_value() if file is None else secret_of(file)


def secret_of(file: Path) -> str:
    """Give what a secret file holds; raises SettingsError."""
    try:
        with file.open() as text:
            _warn_if_open(file, os.fstat(text.fileno()).st_mode)
            return text.read(MAX_SECRET_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The secret file {file} cannot be read ({error}): check the path and its rights."
        ) from None


@cache
def _warn_if_open(file: Path, mode: int) -> None:
    """Say once of each secret file that everybody here may read it."""
    if mode & stat.S_IROTH:
        log.warning("everybody on this machine can read the secret file %s; close it with: chmod 600 %s", file, file)
