"""Flow definitions: dated, checked at the door, readable in what is wrong with them."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from rules.flow.definition import Facts, Flow, Level, in_force, parse_flows
from rules.flow.text import CHARACTERS_MAX, InvalidFlowTextError, read, write
from rules.model.definition import InvalidDefinitionError
from tests.flowing import FACTS, step, version

SHIPPED = Path(__file__).parents[2] / "rules" / "definitions" / "flows.yaml"


def _shipped():
    return parse_flows(yaml.safe_load(SHIPPED.read_text("utf-8")))


def test_the_shipped_flows_are_whole_and_their_text_reads_back():
    flows = _shipped()
    wanted = {"lease", "refund", "write_off", "command", "rule_change", "role_grant", "erasure", "expense", "general",
              "correction"}  # fmt: skip
    assert set(flows) == wanted
    for kind, flow in flows.items():
        assert read(write(kind, flow)) == (kind, flow)
        assert all(one.escalation for held in flow.versions for one in held.steps), kind


@pytest.mark.parametrize(
    ("amount", "steps"),
    [("4999.99", [0]), ("5000", [0, 1]), ("49999.9999", [0, 1]), ("50000", [0, 1, 2])],
)
def test_limits_of_amounts_are_half_open(amount, steps):
    found = _shipped()["expense"].version(date(2026, 11, 23))
    assert found is not None
    assert list(found.path(Facts(site="s", amount=Decimal(amount), currency="CNY"))) == steps


def test_what_a_condition_cannot_judge_is_asked_about():
    one = version(step("a", amount={"CNY": {"below": 5}}), step("b", only={"category": ["marketing", "travel"]}))
    assert one.path(FACTS) == (1,)
    assert one.path(Facts(amount=Decimal(1000), currency="EUR")) == (0, 1)
    assert one.path(Facts()) == (0, 1)
    assert one.path(Facts(amount=Decimal(9), currency="CNY", attributes={"category": "repairs"})) == ()
    assert one.path(Facts(amount=Decimal(4), currency="CNY", attributes={"category": "travel"})) == (0, 1)


def test_the_version_of_the_day_is_the_latest_that_has_begun():
    first, second = version(step("a")), version(step("b"), version="2", valid_from=date(2026, 12, 1))
    flow = Flow(name_zh="x", name_en="x", versions=(second, first))
    assert flow.version(date(2025, 12, 31)) is None
    assert flow.version(date(2026, 11, 30)) == first
    assert flow.version(date(2026, 12, 1)) == second
    assert in_force((), date(2026, 12, 1)) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps": []}, "has no steps"),
        ({"steps": [step("a"), step("a")]}, "'a' stands twice"),
        ({"steps": [step("a", amount={"CNY": {"from": 5, "below": 5}})]}, "'below' must be more than 'from'"),
        ({"steps": [step("a", amount={"CNY": {"from": "NaN"}})]}, "finite"),
        ({"steps": [step("a", amount={"cny": {"from": 5}})]}, "pattern"),
        ({"steps": [step("a", needs=0)]}, "from 1 to 20"),
        ({"steps": [step("a", needs="two")]}, "write one, all, or a number"),
        ({"steps": [step("a", escalation={"after_h": 1, "roles": ["x"]})]}, "stand together"),
        ({"steps": [step("a", roles="")]}, "at least 1 item"),
        ({"steps": [step("a", where="planet")]}, "'building', 'site'"),
        ({"steps": [step("a", neds=2)]}, "not a known key"),
        ({"validity_days": 0}, "greater than or equal to 1"),
    ],
)
def test_a_definition_that_cannot_be_meant_is_refused_with_a_sentence(wrong, said):
    held = {"version": "1", "valid_from": "2026-01-01", "steps": [step("a")], **wrong}
    data = {"expense": {"name_zh": "x", "name_en": "x", "versions": [held]}}
    with pytest.raises(InvalidDefinitionError, match=said) as refused:
        parse_flows(data)
    assert all(problem.startswith("flows: 'expense'") for problem in refused.value.problems)


def test_versions_are_told_apart_by_name_and_day():
    for twin in (version(step("b"), valid_from=date(2027, 1, 1)), version(step("b"), version="2")):
        held = [one.model_dump(by_alias=True) for one in (version(step("a")), twin)]
        with pytest.raises(InvalidDefinitionError, match="give each its own"):
            parse_flows({"expense": {"name_zh": "x", "name_en": "x", "versions": held}})


def test_a_fact_is_an_amount_with_its_currency():
    with pytest.raises(ValueError, match="an amount has a currency"):
        Facts(amount=Decimal(5))
    assert Level("building") < Level("site")  # in the order of letters only; OUTWARD holds the order of places


TEXT = """\
expense:
  name_zh: 费用申请
  name_en: Expense
  versions:
    - version: 2027-01
      valid_from: 2027-01-01
      steps:
        - code: site
          name_zh: 园区
          name_en: Site
          roles: [manager]
          where: site
          needs: 2
          amount: { CNY: { from: 0.1 } }
"""


def test_a_text_reads_as_people_write_it():
    kind, flow = read(TEXT)
    assert (kind, flow.versions[0].version, flow.versions[0].valid_from) == ("expense", "2027-01", date(2027, 1, 1))
    assert flow.versions[0].steps[0].needs == 2
    assert flow.versions[0].steps[0].amount["CNY"].first == Decimal("0.1")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "Begin with the kind"),
        ("- a\n- b\n", 1, "Begin with the kind"),
        ("expense: {\n", 2, "not YAML"),
        ("expense:\n  name_zh: &a x\n  name_en: *a\n", 2, "not used here"),
        ("[" * 5000, 1, "nested too deeply"),
        ("x" * (CHARACTERS_MAX + 1), 1, "longer than"),
        (TEXT + "refund: {}\n", 1, "Begin with the kind"),
        (TEXT.replace("needs: 2", "where: site"), 13, "'where' stands twice"),
        (TEXT.replace("where: site", "where: nowhere"), 12, "'where': Input should be"),
        (TEXT.replace("2027-01-01", "2027-13-45"), 6, "'valid_from'"),
        (TEXT.replace("needs: 2", "neds: 2"), 13, "'neds' is not a known key"),
        (TEXT.replace("  name_en: Expense\n", ""), 1, "'name_en' is missing"),
        (TEXT.replace("from: 0.1", "from: -1"), 14, "'from'"),
    ],
)
def test_what_is_wrong_in_a_text_is_said_with_its_line(text, line, said):
    with pytest.raises(InvalidFlowTextError, match=said) as refused:
        read(text)
    assert [problem.line for problem in refused.value.problems] == [line]


def test_every_problem_of_a_text_is_said_at_once():
    wrong = TEXT.replace("where: site", "where: nowhere").replace("needs: 2", "needs: 0").replace("2027-01-01", "never")
    with pytest.raises(InvalidFlowTextError) as refused:
        read(wrong)
    assert [problem.line for problem in refused.value.problems] == [6, 12, 13]


def test_a_text_holds_one_version():
    twice = TEXT + TEXT[TEXT.index("    - version") :].replace("2027-01", "2027-02")
    with pytest.raises(InvalidFlowTextError, match="just one version"):
        read(twice)
