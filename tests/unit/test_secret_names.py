"""Names of fields that no record and no log may carry."""

import pytest

from rules.model.secret import is_secret


@pytest.mark.parametrize(
    "name",
    ["password", "password_hash", "new-password", "token", "tokens", "API_TOKEN", "csrf", "client_secret", "totp_seed",
     "key", "private_key", "hashes", "session cookie", "recovery_codes", "account_number", "iban", "PIN"],
)  # fmt: skip
def test_a_field_that_holds_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["login", "code", "monkey", "hashtag", "pint", "pinned", "account", "key_id", "token_ids", "keyboard", "keys_count",
     "password_changed_at", "due_days", "", "密码"],
)  # fmt: skip
def test_a_harmless_field_is_not_taken_for_one(name: str) -> None:
    assert not is_secret(name)
