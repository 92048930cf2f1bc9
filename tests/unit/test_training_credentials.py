"""Credentials for simulated devices: made once, for nobody else's eyes."""

import tomllib
from pathlib import Path

import pytest

from deploy.credentials import CredentialsError, make
from rules.model.site import SiteFile, parse

FIELD = Path(__file__).parents[2] / "deploy" / "sites" / "field.toml"
NAMES = ("onvif-CAM-LOBBY-password", "onvif-DOORS-password", "osdp-READER-SIDE-key")


@pytest.fixture
def site() -> SiteFile:
    return parse(tomllib.loads(FIELD.read_text("utf-8")))


def test_each_device_that_wants_one_gets_one_that_only_we_may_read(site: SiteFile, tmp_path: Path) -> None:
    assert make(site, tmp_path / "made") == NAMES
    for name in NAMES:
        file = tmp_path / "made" / name
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(file.read_text("utf-8").strip()) >= 24
    assert len(bytes.fromhex((tmp_path / "made" / NAMES[2]).read_text("utf-8"))) == 16


def test_what_is_there_stays(site: SiteFile, tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_text("mine", "utf-8")
    assert make(site, tmp_path) == NAMES[1:]
    assert (tmp_path / NAMES[0]).read_text("utf-8") == "mine"
    assert make(site, tmp_path) == ()


def test_a_folder_that_cannot_be_is_said(site: SiteFile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CredentialsError, match="name another folder"):
        make(site, tmp_path / "file" / "folder")
