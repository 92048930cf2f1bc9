"""What is there, what is missing and what to do about it; reads only, starts nothing.

``checks(settings)`` gives one ``Check`` per thing.  A check that is not ``needed`` may fail without harm to the demo.
"""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy import doctor_certificate, doctor_exposure, doctor_growth, doctor_identity, doctor_servers, mail
from deploy.doctor_check import Check
from deploy.settings import Settings

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_FILES = Path("static", "vendor")


@dataclass(frozen=True)
class Diagnosis:
    """All checks and the verdict: ``ok`` when nothing that is needed is missing."""

    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether Plantroom can run here."""
        return all(check.ok for check in self.checks if check.needed)


def checks(settings: Settings) -> list[Check]:
    """Examine the machine, then the servers; each finding is one sentence."""
    return [
        python(),
        fonts(),
        browser_files(),
        browser(),
        data_directory(settings.data),
        disk(settings.data),
        *doctor_servers.checks(settings),
        *doctor_growth.checks(settings),
        *doctor_exposure.checks(settings),
        doctor_certificate.check(settings, datetime.now(UTC)),
        mail.check(settings),
        *doctor_identity.checks(settings, datetime.now(UTC)),
    ]


def diagnose(settings: Settings) -> Diagnosis:
    """Give all checks with the verdict."""
    return Diagnosis(checks(settings))


def python() -> Check:
    """Look at the version of Python."""
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Check(
        "Python",
        ok=sys.version_info >= OLDEST_PYTHON,
        found=f"{platform.python_version()} at {sys.executable}",
        advice=f"Install Python {wanted} or newer and run 'make install' with it.",
    )


def fonts() -> Check:
    """Look for the font of Chinese invoices."""
    spec = importlib.util.find_spec("noto_cjk_sans_otc")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    files = sorted(path.name for path in folder.rglob("*.tt[cf]")) if folder else []
    return Check(
        "Font for PDF",
        ok=bool(files),
        found=f"{', '.join(files)} of the package noto-cjk-sans-otc" if files else "no Chinese font",
        advice="Run 'make install': it brings the package noto-cjk-sans-otc; without it invoices lack Chinese words.",
    )


def browser_files() -> Check:
    """Look for the JavaScript and CSS that the build places beside the pages."""
    spec = importlib.util.find_spec("web")
    folder = Path(spec.origin).parent / BROWSER_FILES if spec is not None and spec.origin else BROWSER_FILES
    count = sum(path.is_file() for path in folder.rglob("*")) if folder.is_dir() else 0
    return Check(
        "Browser files",
        ok=count > 0,
        found=f"{count} files in {folder}",
        advice="Run 'make install': it places the JavaScript and CSS of the pages there.",
    )


def browser() -> Check:
    """Look for Chromium, which only the browser tests need."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    return Check(
        "Browser for tests",
        ok=path is not None,
        found=path or "no Chromium",
        advice="For the browser tests: apt-get install chromium. The platform itself runs without it.",
        needed=False,
    )


def data_directory(data: Path) -> Check:
    """Try to write where the data lives, or where it will be made."""
    folder = _existing(data)
    reason = ""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if not reason and any(part.exists() and not part.is_dir() for part in (data, *data.parents)):
        reason = "something that is no folder stands there"
    made = "" if folder == data else ", made at the first start"
    return Check(
        "Data directory",
        ok=not reason,
        found=f"{data} cannot be written ({reason})" if reason else f"{data}{made}",
        advice=f"Give user {_user_name()} the right to write in {folder}, or choose another place with --data.",
    )


def disk(data: Path) -> Check:
    """Measure the space where the data lives."""
    folder = _existing(data)
    free = shutil.disk_usage(folder).free
    return Check(
        "Disk space",
        ok=free >= LEAST_FREE_BYTES,
        found=f"{free / 1e9:.1f} GB free at {folder}",
        advice=f"Free at least {LEAST_FREE_BYTES / 1e9:.0f} GB there, or choose another place with --data.",
    )


def _existing(path: Path) -> Path:
    return next((part for part in (path, *path.parents) if part.is_dir()), Path("/"))


def _user_name() -> str:
    return os.environ.get("USER") or f"number {os.geteuid()}"
