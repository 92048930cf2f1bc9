"""Names of fields that hold a secret: what no record, log or export may carry."""

import re

SECRET_WORDS = (
    "password", "passphrase", "token", "csrf", "secret", "seed", "key", "hash", "cookie", "otp", "pin", "iban",
    "recovery_code", "account_number",
)  # fmt: skip
HARMLESS_ENDS = ("id", "ids", "count", "at", "length")  # key_id names a key and opens nothing

_SECRET = re.compile(rf"(?<![a-z])(?:{'|'.join(SECRET_WORDS)})(?:e?s)?(?![a-z])")


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: ``password_hash``, ``api-key``, ``tokens``; not ``token_id``."""
    plain = name.lower().replace("-", "_")
    return _SECRET.search(plain) is not None and plain.rpartition("_")[2] not in HARMLESS_ENDS
