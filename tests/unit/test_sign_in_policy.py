"""Who needs a second factor: everybody from a day on, but for exempted roles, each with its reason."""

from datetime import date

import pytest

from hub.access.policy import shipped
from hub.access.rights import RIGHTS
from rules.model.definition import InvalidDefinitionError
from rules.model.sign_in import OFFERED, parse

REASON = "He reads the papers of his own leases only."
TODAY = date(2026, 11, 24)
DATED = parse(
    [
        {"valid_from": "2026-06-01", "exempt": {"tenant": REASON}},
        {"valid_from": "2026-01-01", "exempt": {"tenant": REASON, "technician": REASON}},
    ]
)


@pytest.mark.parametrize(
    ("roles", "on", "needed"),
    [
        (["technician"], date(2025, 12, 31), False),  # nothing was demanded yet
        (["technician"], date(2026, 5, 31), False),
        (["technician"], date(2026, 6, 1), True),
        (["tenant"], TODAY, False),
        (["tenant", "engineer"], TODAY, True),  # one role that is not exempt is enough
        (["a role of tomorrow"], TODAY, True),
        ([], TODAY, True),
    ],
)
def test_the_newest_demand_holds_for_every_role_that_it_does_not_exempt(
    roles: list[str], on: date, needed: bool
) -> None:
    assert DATED.needed(roles, on) == needed


def test_where_it_is_only_offered_nobody_needs_one() -> None:
    assert not any(OFFERED.needed([role], TODAY) for role in RIGHTS)


def test_the_shipped_policy_exempts_people_from_outside_only_and_says_why() -> None:
    assert {role for role in RIGHTS if not shipped().needed([role], TODAY)} == {"tenant", "contractor"}
    for demand in shipped().demands:
        assert set(demand.exempt) <= set(RIGHTS)
        assert all(len(reason.split()) > 5 for reason in demand.exempt.values())


@pytest.mark.parametrize(
    "wrong",
    [
        [{"exempt": {}}],
        [{"valid_from": "soon"}],
        [{"valid_from": "2026-01-01", "exempt": {"tenant": "because"}}],
        [{"valid_from": "2026-01-01", "exempts": {}}],
        {"valid_from": "2026-01-01"},
    ],
)
def test_a_policy_that_is_written_wrongly_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidDefinitionError, match="sign_in"):
        parse(wrong)
