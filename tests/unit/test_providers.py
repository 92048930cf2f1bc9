"""The file of other sign-ins: read whole, or refused with one sentence that names what is wrong."""

from pathlib import Path

import pytest

from deploy.providers import providers
from deploy.settings import SettingsError, read
from hub.access.issuer import Provider

SECRET = "only for these tests"
GOOD = """
[[provider]]
code = "corp"
organisation = "RIVERSIDE"
issuer = "https://idp.example.com/realms/corp"
client_id = "plantroom"
client_secret_file = "corp.secret"
name_zh = "集团账号"
name_en = "Group account"
link = "email-verified"
trusted_amr = ["otp", "hwk"]
"""


def configured(folder: Path, text: str, public: str = "https://plantroom.example.com") -> tuple[Provider, ...]:
    (folder / "corp.secret").write_text(f"{SECRET}\n")
    (folder / "corp.secret").chmod(0o600)
    file = folder / "providers.toml"
    file.write_text(text, "utf-8")
    return providers(read(data=folder, oidc_file=file, public_address=public))


def test_a_provider_is_read_with_its_secret_from_its_own_file(tmp_path: Path) -> None:
    (found,) = configured(tmp_path, GOOD)
    assert (found.code, found.client_secret, found.by_email) == ("corp", SECRET, True)
    assert found.trusted_amr == {"otp", "hwk"}
    assert SECRET not in repr(found)


def test_without_a_file_there_is_no_other_sign_in(tmp_path: Path) -> None:
    assert providers(read(data=tmp_path)) == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("https://idp", "http://idp", "https only"),
        ("https://idp.example.com/realms/corp", "idp.example.com", "not an address"),
        ("https://idp.example.com/realms/corp", "javascript:alert(1)", "not an address"),
        ("/realms/corp", "/realms/corp?x=1", "leave out"),
        ('code = "corp"', 'code = "../corp"', "code"),
        ('code = "corp"', 'code = "corp"\nsecret = "x"', "secret"),
        ('"email-verified"', '"email"', "link"),
        ('"corp.secret"', '"none.secret"', "cannot be read"),
        ("[[provider]]", "[provider]", "provider"),
        ("issuer", "issuer =", "cannot be read"),
        (GOOD, GOOD + GOOD, "same code"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as error:
        configured(tmp_path, GOOD.replace(old, new))
    assert SECRET not in str(error.value)


def test_a_provider_on_this_machine_may_speak_http(tmp_path: Path) -> None:
    assert configured(tmp_path, GOOD.replace("https://idp.example.com", "http://127.0.0.1:8081"))


def test_a_secret_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    configured(tmp_path, GOOD)
    (tmp_path / "corp.secret").write_text("short")
    with pytest.raises(SettingsError, match="at least 16"):
        providers(
            read(data=tmp_path, oidc_file=tmp_path / "providers.toml", public_address="https://plantroom.example.com")
        )


def test_without_a_public_address_nobody_could_come_back(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PLANTROOM_PUBLIC_ADDRESS"):
        configured(tmp_path, GOOD, public="")
