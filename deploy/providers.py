"""Other sign-ins (OpenID Connect), from the file that ``PLANTROOM_OIDC_FILE`` names."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.settings import Settings, SettingsError, secret_of
from deploy.transport import leaves
from hub.access.issuer import Provider
from hub.errors import InvalidError
from hub.outbound import address

SECRET_CHARACTERS_MIN = 16
Name = Annotated[str, Field(min_length=1, max_length=60)]


class ProviderEntry(BaseModel):
    """One ``[[provider]]``; unknown keys are refused.

    ``link``: a person is linked by himself or his invitation ("none"), or at first sight by a mail address that the
    provider has verified too ("email-verified").  ``trusted_amr``: the provider's words for a second factor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    organisation: Annotated[str, Field(min_length=1)]
    issuer: Annotated[str, Field(max_length=500)]
    client_id: Annotated[str, Field(min_length=1, max_length=200)]
    client_secret_file: Path
    name_zh: Name
    name_en: Name
    link: Literal["none", "email-verified"] = "none"
    trusted_amr: tuple[str, ...] = ()


class ProvidersFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: tuple[ProviderEntry, ...]


def providers(settings: Settings) -> tuple[Provider, ...]:
    """Give the configured providers; raises SettingsError that says what is wrong."""
    path = settings.oidc_file
    if path is None:
        return ()
    if not settings.public_address:
        raise SettingsError(
            "PLANTROOM_OIDC_FILE needs PLANTROOM_PUBLIC_ADDRESS: providers lead people back to it; give both."
        )
    try:
        found = ProvidersFile.model_validate(tomllib.loads(path.read_text("utf-8"))).provider
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The file of providers {path} cannot be read ({error}); correct it.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{path}: {where}: {first['msg']}.") from None
    if len({one.code for one in found}) < len(found):
        raise SettingsError(f"{path}: two providers have the same code; give each its own.")
    return tuple(_provider(one, path) for one in found)


def _provider(entry: ProviderEntry, path: Path) -> Provider:
    try:
        url = address(entry.issuer)
    except InvalidError as error:
        raise SettingsError(f"{path}: {entry.code}: the issuer is not an address: {error}") from None
    if url.scheme != "https" and leaves(url.host):
        raise SettingsError(f"{path}: {entry.code}: the issuer {entry.issuer} is called by https only.")
    if url.query or url.fragment:
        raise SettingsError(f"{path}: {entry.code}: an issuer's address ends with its path; leave out ? and #.")
    secret = secret_of(path.parent / entry.client_secret_file)
    if len(secret) < SECRET_CHARACTERS_MIN:
        raise SettingsError(
            f"{path}: {entry.code}: a client secret has at least {SECRET_CHARACTERS_MIN} characters; ask the provider "
            "for a longer one."
        )
    return Provider(
        entry.code, entry.organisation, entry.issuer, entry.client_id, secret, entry.name_zh, entry.name_en,
        by_email=entry.link == "email-verified", trusted_amr=frozenset(entry.trusted_amr),
    )  # fmt: skip
