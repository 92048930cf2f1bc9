"""``plantroom doctor``: what is there, what is missing, what to do."""

import json
from dataclasses import asdict

import typer

from deploy.commands.options import AsJson, Data
from deploy.doctor import diagnose
from deploy.doctor_check import Check
from deploy.settings import read as read_settings


def doctor(as_json: AsJson = False, data: Data = None) -> None:
    """Say what is there, what is missing and what to do; exit 1 if something is.  Example: plantroom doctor."""
    diagnosis = diagnose(read_settings(data=data))
    if as_json:
        rows = [asdict(check) for check in diagnosis.checks]
        typer.echo(json.dumps({"ok": diagnosis.ok, "checks": rows}, ensure_ascii=False, indent=1))
    else:
        for check in diagnosis.checks:
            typer.echo(f"{_mark(check)} {check.sentence()}")
    if not diagnosis.ok:
        raise typer.Exit(1)


def _mark(check: Check) -> str:
    return "ok      " if check.ok else "missing " if check.needed else "optional"
