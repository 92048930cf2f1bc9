from pathlib import Path

import pytest

from deploy.settings import SettingsError, read


def set_all(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"PLANTROOM_{name}", value)


def test_without_variables_everything_is_embedded() -> None:
    settings = read()
    assert (settings.dsn(), settings.broker(), settings.web_port) == ("", None, 8080)
    assert settings.data.is_absolute()


def test_variables_count_and_options_of_the_command_line_win(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_all(monkeypatch, BROKER_ADDRESS="broker.example:8883", BROKER_CA="/ca.pem", WEB_PORT="9000", DATA="/somewhere")
    settings = read(data=tmp_path, web_port=None)
    assert (settings.broker(), settings.web_port, settings.data) == (("broker.example", 8883), 9000, tmp_path)
    assert read(broker_address="[::1]:1883").broker() == ("::1", 1883)


def test_secrets_come_from_files_and_never_show(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from-file\n")
    settings = read(database_dsn="postgresql://u:hidden@localhost/d", broker_password_file=file)
    assert settings.password() == "from-file"
    assert settings.dsn() == "postgresql://u:hidden@localhost/d"
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hidden" not in text
        assert "from-file" not in text


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WEB_PROT", "1", "PLANTROOM_WEB_PROT is not a setting of Plantroom: did you mean PLANTROOM_WEB_PORT?"),
        ("WEB_PORT", "99999", "PLANTROOM_WEB_PORT: Input should be less than or equal to 65535."),
        ("WEB_PORT", "http", "PLANTROOM_WEB_PORT: Input should be a valid integer"),
        (
            "BROKER_ADDRESS",
            "no-port",
            "PLANTROOM_BROKER_ADDRESS: 'no-port' is not host:port; write it like broker.example:8883.",
        ),
        ("BROKER_ADDRESS", "host:70000", "PLANTROOM_BROKER_ADDRESS: 'host:70000' is not host:port"),
    ],
)
def test_a_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    set_all(monkeypatch, **{name: value})
    with pytest.raises(SettingsError) as caught:
        read()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(("written", "meant"), [
    ("https://Plantroom.example.com/", "https://plantroom.example.com"),
    ("https://plantroom.example.com:443", "https://plantroom.example.com"),
    ("http://10.1.2.3:8080", "http://10.1.2.3:8080"),
    ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ("", ""),
])  # fmt: skip
def test_the_public_address_is_kept_as_browsers_say_it(written: str, meant: str) -> None:
    assert read(public_address=written).public_address == meant


@pytest.mark.parametrize("written", [
    "plantroom.example.com", "https://", "ftp://x", "https://a/b", "https://a?b", "https://user@a", "https://a b",
    "https://a\nb", "https://a:port",
])  # fmt: skip
def test_what_is_not_an_address_of_a_site_is_refused(written: str) -> None:
    with pytest.raises(SettingsError, match=r"(?s)PLANTROOM_PUBLIC_ADDRESS: .* write it like https://plantroom"):
        read(public_address=written)


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, TRUSTED_PROXIES="10.0.0.5, 10.1.0.0/16,::1", OUTBOUND_ALLOW="idp.example.com 10.2.0.0/16")
    settings = read()
    assert settings.trusted_proxies == ("10.0.0.5", "10.1.0.0/16", "::1")
    assert settings.outbound_allow == ("idp.example.com", "10.2.0.0/16")
    set_all(monkeypatch, TRUSTED_PROXIES="", OUTBOUND_ALLOW="")
    assert (read().trusted_proxies, read().outbound_allow) == ((), ())


@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", "OUTBOUND_ALLOW"])
@pytest.mark.parametrize("written", ["*", "10.0.0.0/33", "10.0.0.1/8", "https://x"])
def test_a_list_holds_nothing_else(monkeypatch: pytest.MonkeyPatch, name: str, written: str) -> None:
    set_all(monkeypatch, **{name: written})
    with pytest.raises(SettingsError, match=f"PLANTROOM_{name}: '.*' is not .* write it like"):
        read()


def test_a_secret_file_that_everybody_can_read_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "password"
    file.write_text("hidden")
    for mode, said in ((0o600, 0), (0o640, 0), (0o644, 1)):
        file.chmod(mode)
        for _ in range(2):
            assert read(broker_password_file=file).password() == "hidden"
        assert len(caplog.messages) == said
    assert "chmod 600" in caplog.text
    assert "hidden" not in caplog.text


@pytest.mark.parametrize(
    "host", ["broker.example", "10.0.0.5", "[2001:db8::1]", "127.0.0.1.example", "localhost.example"]
)
def test_a_broker_beyond_this_machine_is_spoken_to_by_tls_only(host: str) -> None:
    with pytest.raises(SettingsError, match=r"is spoken to by TLS only; give broker_ca, broker_certificate and broker"):
        read(broker_address=f"{host}:1883")
    assert read(broker_address=f"{host}:8883", broker_ca="/ca.pem").broker_ca == Path("/ca.pem")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_broker_on_this_machine_may_go_without(host: str) -> None:
    assert read(broker_address=f"{host}:1883").broker_ca is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"broker_certificate": "/c", "broker_key": "/k"}, "belong together; give all three"),
        ({"broker_ca": "/a", "broker_key": "/k"}, "belong together; give all three"),
        ({"broker_ca": "/a", "broker_certificate": "/c"}, "belong together; give all three"),
        ({"broker_ca": "/a", "broker_certificate": "/c", "broker_key": "/c"}, "are two files"),
        ({"broker_ca": "/a", "broker_address": ""}, "the embedded broker is on this machine only"),
    ],
)
def test_certificates_for_the_broker_are_complete(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read(**{"broker_address": "broker.example:8883", **given})


def test_a_secret_given_twice_or_in_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give database_dsn or database_dsn_file, not both"):
        read(database_dsn="postgresql://h", database_dsn_file=tmp_path / "dsn")
    with pytest.raises(SettingsError, match=r"cannot be read .*check the path"):
        read(database_dsn_file=tmp_path / "dsn").dsn()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read().web_port = 1


def test_the_folder_of_devices_credentials_is_a_setting_like_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_all(monkeypatch, CREDENTIALS=str(tmp_path))
    assert read().credentials == tmp_path
