"""An engineer goes round the meters: faces are compared, mistakes named, and only what agreed twice is trusted."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import app
from edge_agent import commission
from tests.field import Meter, free_port, serving, site_text, write_site

FACE = "1234.56"


def meter(energy: int = 123_456) -> Meter:
    registers = dict.fromkeys(range(60), 0)
    registers[0], registers[1] = divmod(energy, 1 << 16)
    return Meter(1, registers)


async def go_round(folder: Path, said: str, port: int, *words: str) -> Result:
    site = write_site(folder, site_text(port))
    asked = ["edge", "commission", str(site), "--by", "li.wei", "--data", str(folder), *words]
    return await asyncio.to_thread(CliRunner().invoke, app, asked, input=f"{said}\n")


async def test_a_face_that_agrees_is_signed_and_needs_a_second_look(tmp_path: Path) -> None:
    port = free_port()
    async with serving(port, meter()):
        result = await go_round(tmp_path, FACE, port)
    assert result.exit_code == 0, result.output
    assert "the platform shows 1234.56: agrees" in result.output
    assert "a second look is needed" in result.output
    (look,) = commission.load(tmp_path / "edge" / "commission-S1.json")
    assert (look.by, look.face, look.agrees) == ("li.wei", FACE, True)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("123456", "a power of ten apart"),
        ("777.7", "check address"),
        ("many", "is no number"),
        ("-", "not looked at yet"),
    ],
)
async def test_what_does_not_agree_is_named(tmp_path: Path, said: str, answer: str) -> None:
    port = free_port()
    async with serving(port, meter()):
        result = await go_round(tmp_path, said, port)
    assert answer in result.output + (result.stderr or "")


async def test_two_looks_apart_make_a_point_trusted_and_a_bad_one_ends_it(tmp_path: Path) -> None:
    port, record = free_port(), tmp_path / "edge" / "commission-S1.json"
    async with serving(port, meter()):
        await go_round(tmp_path, FACE, port)
        (look,) = commission.load(record)
        commission.save(record, [replace(look, at=look.at - timedelta(hours=1))])
        assert "TRUSTED FOR BILLING" in (await go_round(tmp_path, FACE, port)).output
        assert "TRUSTED" not in (await go_round(tmp_path, "1.0", port)).output
        assert "DIFFERS" in (await go_round(tmp_path, "", port, "--report")).output


async def test_a_silent_meter_and_a_foreign_file_get_one_sentence(tmp_path: Path) -> None:
    result = await go_round(tmp_path, FACE, free_port())
    assert "refused the connection" in result.output + (result.stderr or "")
    record = tmp_path / "edge" / "commission-S1.json"
    for text in ("[]", "{", json.dumps({"looks": [{"point": 1}]})):
        record.write_text(text)
        with pytest.raises(commission.CommissionError, match="move it aside"):
            commission.load(record)


def test_only_a_figure_is_a_figure() -> None:
    assert commission.figure(" 4711.25 ") == Decimal("4711.25")
    for text in ("", "x", "-1", "NaN", "Infinity", "1,5"):
        with pytest.raises(commission.CommissionError):
            commission.figure(text)
