"""The doctor names what is too open for a building, without calling it broken."""

from pathlib import Path

from deploy.doctor_exposure import checks
from deploy.embedded import _written
from deploy.settings import Settings

CLOSED = {
    "public_address": "https://plantroom.example.com",
    "trusted_proxies": "10.0.0.5",
    "broker_address": "127.0.0.1:8883",
}


def found(data: Path, **settings: str) -> dict[str, bool]:
    seen = checks(Settings.model_validate({"data": data, **settings}))
    assert not [check for check in seen if check.needed]
    assert not [check for check in seen if not check.ok and not check.advice]
    return {check.name: check.ok for check in seen}


def test_a_trial_is_open_in_most_ways(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    well = {name for name, ok in found(tmp_path).items() if ok}
    assert well == {"Proxy", "In clear"}


def test_a_building_is_closed(tmp_path: Path) -> None:
    for mode in (0o700, 0o711):
        tmp_path.chmod(mode)
        assert set(found(tmp_path, **CLOSED).values()) == {True}


def test_an_http_address_leaves_cookies_open_and_a_hidden_proxy_is_noticed(tmp_path: Path) -> None:
    seen = found(tmp_path, public_address="http://10.1.2.3", web_host="0.0.0.0", unencrypted="web")
    assert [seen[name] for name in ("Public address", "Cookies", "Proxy", "In clear")] == [True, False, False, False]


def test_data_that_is_not_there_yet_will_be_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert found(data)["Data rights"]
    with _written(data):
        assert data.stat().st_mode & 0o777 == 0o711
    assert found(data)["Data rights"]
