"""The systemd units: each program has what it needs and nothing more, by the judgement of systemd itself."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli import app
from deploy.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
EXPOSURE_MAX = 2.0  # of 10, by `systemd-analyze security`
INSTALLED = "/opt/plantroom/.venv/bin/plantroom"
ASKED = {
    "UMask": "0077", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "",
    "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
    "MemoryDenyWriteExecute": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "IPAddressDeny": "any",
    "SystemCallArchitectures": "native", "StateDirectoryMode": "0700", "LimitCORE": "0", "Type": "exec",
}  # fmt: skip
OF_ONE = {"plantroom-backup": {"Type": "oneshot", "User": "plantroom-hub"}}  # it reads the hub's own files
# What a program of ours does with the memory that a unit gives it: none of it is written and then executed.
LIBRARIES = """
import ctypes, io, mmap
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    print("too old"); raise SystemExit
import argon2, numpy, paho.mqtt.client, psycopg, sqlite3, typst, uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from google.protobuf import descriptor_pb2
argon2.PasswordHasher().verify(argon2.PasswordHasher().hash("x"), "x")
ec.generate_private_key(ec.SECP256R1())
numpy.linalg.inv(numpy.eye(100))
Image.new("RGB", (9, 9)).save(io.BytesIO(), "WEBP")
assert typst.compile(b"= Invoice", format="pdf").startswith(b"%PDF")
sqlite3.connect(":memory:").execute("SELECT 1")
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("well")
"""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here; install it with: apt-get install systemd"
)


def said(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text("utf-8"), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def analyse(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def test_hub_web_and_edge_have_a_unit() -> None:
    assert [unit.name for unit in UNITS] == [
        "plantroom-backup.service",
        "plantroom-edge@.service",
        "plantroom-hub.service",
        "plantroom-web.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_asks_for_no_more_than_it_needs(unit: Path) -> None:
    found = said(unit)
    asked = ASKED | OF_ONE.get(unit.stem, {})
    assert {name: found[name][-1] for name in asked if name != "User"} == {
        k: v for k, v in asked.items() if k != "User"
    }
    assert found["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert found["User"] == found["Group"] == [asked.get("User", unit.stem.rstrip("@"))]
    assert f"u {found['User'][0]} " in (FOLDER / "sysusers.conf").read_text("utf-8")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_hands_secrets_on_as_files_and_knows_only_settings_that_exist(unit: Path) -> None:
    found = said(unit)
    settings = dict(one.split("=", 1) for line in found["Environment"] for one in line.split())
    known = {f"PLANTROOM_{name.upper()}" for name in Settings.model_fields}
    assert set(settings) <= known
    credentials = {line.partition(":")[0] for line in found.get("LoadCredential", [])}
    words = [*settings.values(), *found["ExecStart"][0].split()]
    assert {word.removeprefix("%d/") for word in words if word.startswith("%d/")} == credentials
    secrets = {name for name in known if f"{name}_FILE" in known}
    assert not secrets & set(settings)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_there_is(unit: Path) -> None:
    (start,) = said(unit)["ExecStart"]
    program, group, name = start.split()[:3]
    assert program == INSTALLED
    if group in {command.name for command in app.registered_commands}:
        return
    commands = {one.name: one.typer_instance for one in app.registered_groups}
    assert name in {
        command.name or getattr(command.callback, "__name__", "") for command in commands[group].registered_commands
    }


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_little_that_is_open(unit: Path) -> None:
    judged = analyse("security", "--offline=true", "--no-pager", str(unit))
    exposure = re.search(r"Overall exposure level .*: (\d+\.\d)", judged.stdout)
    assert exposure is not None, judged.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name.replace("@.", "@GW-1.")
    copy.write_text(unit.read_text("utf-8").replace(INSTALLED, sys.executable))
    checked = analyse("verify", "--man=no", "--recursive-errors=no", str(copy))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@needs_systemd
def test_a_gateway_with_serial_ports_opens_up_those_and_nothing_else(tmp_path: Path) -> None:
    unit = (FOLDER / "plantroom-edge@.service").read_text("utf-8").partition("[Install]")[0]
    copy = tmp_path / "plantroom-edge@GW-1.service"
    copy.write_text(f"{unit}\n{(FOLDER / 'edge-devices.conf').read_text('utf-8')}".replace(INSTALLED, sys.executable))
    checked = analyse("verify", "--man=no", "--recursive-errors=no", str(copy))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    judged = analyse("security", "--offline=true", "--no-pager", str(copy))
    exposure = re.search(r"Overall exposure level .*: (\d+\.\d)", judged.stdout)
    assert exposure is not None, judged.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX


def test_no_library_needs_memory_that_is_written_and_executed() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LIBRARIES], capture_output=True, text=True, check=False, timeout=60, cwd="/"
    )
    if "too old" in run.stdout:
        pytest.skip("this kernel cannot refuse such memory to a process; from 6.3 it can")
    assert (run.returncode, run.stdout) == (0, "well\n"), run.stderr
