"""The audit of dependencies says what is known, and never calls well what it could not ask about."""

import json

from tests.dependencies import judge


def answer(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


SOUND = {"name": "a", "version": "1", "vulns": []}
WEAK = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "description": "bad"}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (3)"}


def test_all_is_well_only_when_all_were_asked_about() -> None:
    assert judge(answer(SOUND, SOUND)) == (True, ["No known weakness stands against the 2 dependencies."])
    for said in (answer(SOUND, UNKNOWN), answer(), "", "no network", "{}"):
        well, sentences = judge(said)
        assert not well
        assert "could not be asked" in sentences[0]


def test_a_weakness_is_named_with_what_mends_it() -> None:
    assert judge(answer(SOUND, WEAK, UNKNOWN)) == (False, ["b 2: PYSEC-1, mended in 2.1."])
