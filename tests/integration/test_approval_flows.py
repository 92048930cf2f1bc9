"""Flows of one's own, deputies, and requests that people write themselves."""

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from hub.approvals import forms, proposals
from hub.approvals import service as approvals
from hub.approvals.definitions import book, history, shipped
from hub.approvals.deputies import candidates, deputies, end_deputy, name_deputy
from hub.approvals.forms import Asked
from hub.approvals.proposals import UnreadableFlowError
from hub.approvals.views import inbox
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Database
from rules.flow.definition import parse_flows
from rules.flow.text import write
from tests.approving import NOW, Office, expense, later, staff
from tests.builders import Park

OWN = """\
expense:
  name_zh: 本公司费用
  name_en: Our expenses
  form: amount
  versions:
    - version: own-1
      valid_from: 2026-12-01
      steps:
        - code: top
          name_zh: 总经理
          name_en: General manager
          roles: [manager]
          where: organisation
"""
DECEMBER = later(24 * 7)


@pytest.fixture
async def office(database: Database, park: Park) -> Office:
    return await staff(database, park)


async def propose(office: Office, text: str = OWN, login: str = "eve", now=NOW):
    async with office.as_(login) as tx:
        return await proposals.propose(tx, text, now)


async def adopt(office: Office, version_id, login: str = "eve", now=NOW):
    async with office.as_(login) as tx:
        return await proposals.adopt(tx, version_id, now)


async def in_force(office: Office, day, kind: str = "expense") -> str:
    async with office.as_("eve") as tx:
        return (await book(tx, day)).in_force[kind].version


async def test_a_flow_of_ones_own_is_approved_as_a_change_of_a_rule_and_then_put_in_force(office: Office) -> None:
    row, number = await propose(office)
    assert number == 1
    with pytest.raises(ConflictError, match="not been approved yet"):
        await adopt(office, row.id)
    found = await office.life(number, "dan")
    assert (found.content["definition"], found.content["replaces"]) == (OWN, "2026-01")
    assert next(iter(found.content)) == "flow"  # in the order in which it is shown
    assert (
        "-  name_en: Expense\n+  name_zh: \u672c\u516c\u53f8\u8d39\u7528\n+  name_en: Our expenses"
        in found.content["changes"]
    )
    with pytest.raises(ForbiddenError, match="Who asks"):
        await office.decide(number, "eve")
    await office.decide(number, "dan")
    assert (await adopt(office, row.id)).adopted_by == "eve"
    assert await in_force(office, NOW.date()) == "2026-01"
    assert await in_force(office, DECEMBER.date()) == "own-1"
    with pytest.raises(ConflictError, match="in force already"):
        await adopt(office, row.id)
    async with office.as_("eve") as tx:
        assert [(one.version.version, one.holds) for one in await history(tx, "expense", DECEMBER.date())] == [
            ("own-1", True),
            ("2026-01", False),
        ]


async def test_a_running_request_keeps_the_version_of_its_submission(office: Office) -> None:
    number = await office.submit(expense(office))
    row, rule = await propose(office)
    assert rule is not None
    await office.decide(rule, "dan")
    await adopt(office, row.id)
    before = await office.life(number)
    assert (before.request.version.version, before.request.current.code) == ("2026-01", "site")
    async with office.as_("gus") as tx:
        await approvals.change(tx, expense(office, "1"), DECEMBER)
    after = await office.life(number, now=DECEMBER)
    assert (after.request.version.version, [seat.login for seat in after.seats]) == ("2026-01", ["ann", "bob"])
    other = await office.submit(expense(office, id="other"), now=DECEMBER)
    assert [seat.login for seat in (await office.life(other, now=DECEMBER)).seats] == ["dan"]


async def test_where_no_flow_governs_changes_of_rules_a_version_needs_nobody(office: Office) -> None:
    nothing = OWN.replace("expense:", "rule_change:").replace("form: amount", "form: text")
    nothing = nothing[: nothing.index("      steps:")] + "      without_steps: approved\n      steps: []\n"
    row, number = await propose(office, nothing.replace("2026-12-01", "2026-11-24"))
    assert number is not None
    await office.decide(number, "dan")
    await adopt(office, row.id)
    row, number = await propose(office)
    assert number is not None
    assert (await office.life(number)).stored.state == "approved"  # nobody was asked, and it says so
    await adopt(office, row.id)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("roles: [manager]", "roles: [janitor]", 12, "'janitor' is not a role"),
        ("roles: [manager]", "roles: [auditor]", 12, "'auditor' is not a role"),
        ("2026-12-01", "2026-11-23", 7, "It would hold from a past day"),
        ("own-1", "2026-01", 6, "There is a version with this 'version'"),
        ("where: organisation", "where: there", 13, "'where'"),
        ("form: amount", "form: amount: x", 4, "not YAML"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_proposed_text_is_said_by_line(
    office: Office, old: str, new: str, line: int, said: str
) -> None:
    with pytest.raises(UnreadableFlowError, match=said) as refused:
        await propose(office, OWN.replace(old, new).replace("\n", "\r\n"))  # as a form sends it
    assert [one.line for one in refused.value.problems] == [line]


async def test_only_who_looks_after_flows_proposes(office: Office) -> None:
    for login in ("dan", "ann"):
        with pytest.raises(ForbiddenError, match="looks after flows"):
            await propose(office, login=login)
    row, _ = await propose(office)
    with pytest.raises(ForbiddenError):
        await adopt(office, row.id, "dan")
    with pytest.raises(NotFoundError):
        await adopt(office, uuid4())


async def test_of_two_versions_with_one_first_day_one_comes_into_force(office: Office) -> None:
    first, one = await propose(office)
    second, two = await propose(office, OWN.replace("own-1", "own-2"))
    for number in (one, two):
        assert number is not None
        await office.decide(number, "dan")
    await adopt(office, first.id)
    with pytest.raises(ConflictError, match=r"not what was approved|came into force meanwhile"):
        await adopt(office, second.id)
    with pytest.raises(UnreadableFlowError, match="this 'valid_from'"):
        await propose(office, OWN.replace("own-1", "own-3"))


async def test_the_draft_of_a_new_version_is_the_one_in_force(office: Office) -> None:
    async with office.as_("eve") as tx:
        assert await proposals.draft(tx, "expense", NOW) == write("expense", shipped()["expense"])
        with pytest.raises(NotFoundError):
            await proposals.draft(tx, "nothing", NOW)


def test_every_role_of_the_shipped_flows_has_an_inbox() -> None:
    for flow in shipped().values():
        for version in flow.versions:
            assert proposals._strange(version) == []
    assert parse_flows({kind: flow.model_dump(by_alias=True) for kind, flow in shipped().items()}) == shipped()


async def test_a_deputy_decides_on_behalf_of_his_principal_and_the_record_says_so(office: Office) -> None:
    number = await office.submit(expense(office))
    async with office.as_("ann") as tx:
        assert [one.login for one in await candidates(tx, NOW)] == ["bob", "cho", "dan", "eve", "fay", "nor"]
        made = await name_deputy(tx, "fay", later(1), later(5), NOW)
    with pytest.raises(NotFoundError):
        await office.life(number, "fay", later(0.9))
    async with office.as_("fay") as tx:
        assert [one.seats[0].principal for one in await inbox(tx, later(1))] == ["ann"]
        assert [one.principal for one in await deputies(tx, NOW)] == ["ann"]
    with pytest.raises(ForbiddenError, match="not yours"):
        await office.decide(number, "fay", now=later(2))  # in her own name
    assert await office.decide(number, "fay", now=later(2), principal="ann") == "approved"
    assert office.acts()[-1][:3] == ("fay", "ann", "approved")
    assert [(one.login, one.principal) for one in (await office.life(number)).opinions] == [("fay", "ann")]
    async with office.as_("bob") as tx:
        with pytest.raises(NotFoundError):
            await end_deputy(tx, made, later(3))
    async with office.as_("ann") as tx:
        await end_deputy(tx, made, later(3))
    other = await office.submit(expense(office, id="other"), now=later(4))
    with pytest.raises(NotFoundError):
        await office.life(other, "fay", later(4))


async def test_the_deputy_of_the_submitter_and_the_submitter_as_deputy_decide_nothing(office: Office) -> None:
    async with office.as_("eve") as tx:
        await name_deputy(tx, "fay", NOW, later(99), NOW, "ann")
        await name_deputy(tx, "ann", NOW, later(99), NOW, "bob")
    number = await office.submit(expense(office), "ann")
    assert [(seat.login, seat.principal) for seat in (await office.life(number)).seats] == [("bob", None)]
    for login, principal in (("fay", "ann"), ("ann", "bob")):
        with pytest.raises((ForbiddenError, NotFoundError)):
            await office.decide(number, login, principal=principal)


@pytest.mark.parametrize(
    ("deputy", "start", "end", "said"),
    [
        ("ann", 0, 5, "his own deputy"),
        ("gus", 0, 5, "takes part in approvals"),
        ("hal", 0, 5, "takes part in approvals"),
        ("nobody", 0, 5, "takes part in approvals"),
        ("fay", 5, 5, "from a day to a later one"),
        ("fay", -5, 0, "from a day to a later one"),
        ("fay", 0, 24 * 400, "for a year at most"),
    ],
)
async def test_a_deputy_is_somebody_else_who_can_decide_for_a_time(
    office: Office, deputy: str, start: float, end: float, said: str
) -> None:
    with pytest.raises(InvalidError, match=said):
        async with office.as_("ann") as tx:
            await name_deputy(tx, deputy, later(start), later(end), NOW)


async def test_nobody_names_a_deputy_for_somebody_else_but_who_looks_after_users(office: Office) -> None:
    async with office.as_("ann") as tx:
        with pytest.raises(ForbiddenError):
            await name_deputy(tx, "fay", NOW, later(5), NOW, "bob")
        assert await deputies(tx, NOW) == []
    async with office.as_("eve") as tx:
        await name_deputy(tx, "fay", NOW, later(5), NOW, "bob")
        assert [(one.principal, one.deputy, one.made_by) for one in await deputies(tx, NOW)] == [("bob", "fay", "eve")]


async def test_a_manager_of_the_whole_group_is_asked_where_the_flow_says_so(office: Office, database: Database) -> None:
    with psycopg.connect(office.park.dsns.owner) as owner:
        (group,) = (
            owner.execute("INSERT INTO groups (code, name_zh, name_en) VALUES ('G', 'G', 'G') RETURNING id").fetchone()
            or ()
        )
        owner.execute("UPDATE organisations SET group_id = %s", [group])
        owner.execute(
            """WITH o AS (INSERT INTO organisations (code, name_zh, name_en, group_id)
                          VALUES ('HEAD', 'H', 'H', %s) RETURNING id),
               u AS (INSERT INTO users (organisation_id, login, name, email, language)
                     SELECT id, 'ida', 'Ida', 'ida@example.com', 'en' FROM o RETURNING id, organisation_id)
               INSERT INTO grants (organisation_id, user_id, kind, role, scope, granted_by)
               SELECT organisation_id, id, 'staff', 'manager', 'group', 'test' FROM u""",
            [group],
        )
        owner.execute("UPDATE grants SET until = now() WHERE role IN ('manager', 'administrator') AND scope <> 'group'")
    number = await office.submit(expense(office), now=later(24 * 365))
    found = await office.life(number, "gus", later(24 * 365))
    assert [seat.login for seat in found.seats] == ["ida"]
    assert ("ida", f"For your approval: #{number} Filters") in office.mails()
    with psycopg.connect(office.park.dsns.owner) as owner:
        owner.execute("UPDATE organisations SET group_id = NULL WHERE code = 'HEAD'")
    assert (await office.life(number, "gus", later(24 * 365))).seats == ()


async def test_people_write_requests_themselves(office: Office) -> None:
    async with office.as_("gus") as tx:
        assert set(await forms.kinds(tx, NOW)) == {"expense", "general"}
        assert [place.code for place in await forms.places(tx)] == [office.park.file.site.code]
        asked = Asked("expense", " New  ladder ", "The old one is bent.", "1,280.50", office.park.site)
        number = await forms.ask(tx, asked, NOW)
        general = await forms.ask(tx, Asked("general", "Open on Sunday", "Painting", "ignored", office.park.site), NOW)
    found = await office.life(number, "ann")
    assert (found.stored.title_en, str(found.stored.amount), found.stored.currency) == ("New ladder", "1280.50", "CNY")
    assert found.content == {"title": "New ladder", "text": "The old one is bent."}
    assert (await office.life(general, "ann")).stored.amount is None
    await office.decide(number, "ann")
    async with office.as_("gus") as tx:
        await forms.change(tx, number, Asked("expense", "New ladder", "Two of them.", "2561", office.park.site), NOW)
    assert (await office.life(number)).stored.state == "open"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "lease"}, "Choose what kind"),
        ({"title": "  "}, "A title has"),
        ({"title": "x" * 201}, "A title has"),
        ({"text": ""}, "Say what is asked"),
        ({"amount": "much"}, "Write the amount"),
        ({"amount": "NaN"}, "An amount is more than nothing"),
        ({"amount": "-5"}, "An amount is more than nothing"),
        ({"amount": "0"}, "An amount is more than nothing"),
        ({"amount": "1.005"}, "An amount is more than nothing"),
        ({"amount": "1e12"}, "An amount is more than nothing"),
        ({"site_id": uuid4()}, "a site where you work"),
    ],
)
async def test_a_form_that_cannot_be_meant_is_refused_with_a_sentence(office: Office, wrong, said: str) -> None:
    asked = {"kind": "expense", "title": "T", "text": "x", "amount": "5", "site_id": office.park.site, **wrong}
    with pytest.raises(InvalidError, match=said):
        async with office.as_("gus") as tx:
            await forms.ask(tx, Asked(**asked), NOW)


async def test_only_ones_own_request_is_changed_by_its_form(office: Office) -> None:
    number = await office.submit(expense(office))
    asked = Asked("expense", "T", "x", "5", office.park.site)
    with pytest.raises(ConflictError, match="cannot be changed here"):
        async with office.as_("ann") as tx:
            await forms.change(tx, number, asked, NOW)
    with pytest.raises(NotFoundError):
        async with office.as_("nor") as tx:
            await forms.change(tx, number, asked, NOW + timedelta(hours=1))
