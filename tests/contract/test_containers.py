"""The containers: read-only, without rights, apart from each other, their secrets in files.  Read, not run."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.postgres_binaries import OLDEST_MAJOR
from deploy.settings import Settings
from hub.store.backend import OLDEST_TIMESCALEDB

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STEPS = [line for line in (DEPLOY / "Dockerfile").read_text("utf-8").splitlines() if re.match(r"[A-Z]+ ", line)]
PINNED = re.compile(r"[a-z./-]+:\d+\.\d+\.\d+(-[a-z0-9.]+)*")
ONCE = {"migrate", "configure"}

each = pytest.mark.parametrize("name", SERVICES)


def test_there_is_a_service_for_each_part() -> None:
    assert set(SERVICES) == {"database", "broker", "migrate", "configure", "hub", "web"}


@each
def test_a_container_can_write_nothing_but_its_own(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert all("noexec" in one or "mode=0700" in one for one in service["tmpfs"])
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        assert source in COMPOSE["volumes"] or rest.endswith(":ro"), volume
        assert "docker.sock" not in volume


@each
def test_a_container_has_no_rights_and_no_root(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"} & set(service)
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0


@each
def test_a_container_is_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["pids_limit"] <= 512
    assert service["logging"]["options"]["max-size"]
    assert name in ONCE or service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")


@each
def test_an_image_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


@each
def test_secrets_are_files_and_settings_exist(name: str) -> None:
    service = SERVICES[name]
    given = [one if isinstance(one, str) else one["source"] for one in service.get("secrets", [])]
    assert set(given) <= set(COMPOSE["secrets"])
    known = {f"PLANTROOM_{field.upper()}" for field in Settings.model_fields}
    for variable, value in service.get("environment", {}).items():
        assert variable in known or not variable.startswith("PLANTROOM_"), variable
        if re.search("PASSWORD|DSN|TOKEN|SECRET", variable):
            assert variable.endswith("_FILE")
            assert value.removeprefix("/run/secrets/") in given


def test_the_database_is_the_official_timescaledb_of_a_version_that_is_known_here() -> None:
    found = re.fullmatch(r"timescale/timescaledb:(\d+)\.(\d+)\.\d+-pg(\d+)", SERVICES["database"]["image"])
    assert found is not None
    assert (int(found[1]), int(found[2])) >= OLDEST_TIMESCALEDB
    assert int(found[3]) >= OLDEST_MAJOR


def test_only_the_screens_are_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8080:8080"]}


def test_networks_keep_apart_what_has_nothing_to_say_to_each_other() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    inner = {name for name, network in COMPOSE["networks"].items() if (network or {}).get("internal")}
    assert not networks["web"] & networks["broker"]
    assert not networks["database"] & networks["broker"]
    for name in ("database", "broker", "migrate", "configure"):
        assert networks[name] <= inner, name


def test_the_address_of_the_proxy_is_that_of_the_network_and_the_public_address_must_be_said() -> None:
    said = SERVICES["web"]["environment"]
    (subnet,) = COMPOSE["networks"]["screens"]["ipam"]["config"]
    assert said["PLANTROOM_TRUSTED_PROXIES"] == subnet["gateway"]
    assert said["PLANTROOM_PUBLIC_ADDRESS"].startswith("${PLANTROOM_PUBLIC_ADDRESS:?")


def test_the_image_is_built_from_pinned_and_hashed_parts_and_does_not_run_as_root() -> None:
    bases = [line.split()[1] for line in STEPS if line.startswith("FROM ")]
    assert len(bases) == 2
    assert all(PINNED.fullmatch(base) for base in bases)
    assert any("--require-hashes" in line for line in STEPS)
    assert not [line for line in STEPS if line.startswith("ADD ") or "curl" in line or "--trusted-host" in line]
    last = STEPS[max(number for number, line in enumerate(STEPS) if line.startswith("FROM ")) :]
    assert "USER 10001:10001" in last
    assert 'ENTRYPOINT ["plantroom"]' in last
    assert all(SERVICES[name]["user"] == "10001:10001" for name in ("migrate", "configure", "hub", "web"))


def test_no_secret_and_no_history_gets_into_the_image() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").split()
    assert lines[0] == "*"
    assert "deploy/secrets" in lines[lines.index("!deploy") :]
    assert not {"!.git", "!tests", "!.venv"} & set(lines)
    assert "deploy/secrets/" in (DEPLOY.parent / ".gitignore").read_text("utf-8").split()


@pytest.mark.skipif(os.geteuid() != 0, reason="hands files to other users, which only root can; run as root")
def test_secrets_are_made_once_and_for_one_user_each(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([str(DEPLOY / "make-secrets"), str(folder)], check=True)
        made = {file.name: (file.stat().st_uid, file.stat().st_mode & 0o777) for file in folder.iterdir()}
        assert set(made) == {Path(one["file"]).name for one in COMPOSE["secrets"].values()}
        assert {mode for _, mode in made.values()} == {0o400}
        assert made["owner-password"][0] == 70
        before = {file.name: file.read_text() for file in folder.iterdir()}
    assert before["hub-password"] in before["hub-dsn"]
    assert before["owner-password"] in before["owner-dsn"]
    assert len(set(before.values())) == len(before)
