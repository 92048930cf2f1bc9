"""``make audit``: whether a known weakness stands against one of the pinned dependencies.

pip-audit ends well when it could ask about none of them, so its answers are read here one by one.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "requirements" / "runtime.txt"
WORDS = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")
TIMEOUT_S = 300
UNASKED = (
    "The list of known weaknesses could not be asked about {} of the dependencies; run 'make audit' where there is a "
    "way to it."
)


def _sentence(one: dict[str, Any], weakness: dict[str, Any]) -> str:
    mended = ", ".join(weakness["fix_versions"]) or "nothing yet"
    return f"{one['name']} {one['version']}: {weakness['id']}, mended in {mended}."


def judge(answer: str) -> tuple[bool, list[str]]:
    """Read what pip-audit says in JSON: whether all is well, and the sentences to say."""
    try:
        asked: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        asked = []
    weak = [_sentence(one, weakness) for one in asked for weakness in one.get("vulns", ())]
    unknown = sum("skip_reason" in one for one in asked)
    if weak:
        return False, weak
    if unknown or not asked:
        return False, [UNASKED.format(unknown or "any")]
    return True, [f"No known weakness stands against the {len(asked)} dependencies."]


def main() -> None:
    """Ask, and end with 1 when a weakness is known or nobody could be asked."""
    words = [str(Path(sys.executable).with_name("pip-audit")), "-r", str(PINNED), *WORDS]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    well, sentences = judge(said.stdout)
    sys.stdout.write("\n".join(sentences) + "\n")
    sys.exit(not well)


if __name__ == "__main__":
    main()
