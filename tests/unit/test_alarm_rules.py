"""The rule files: what they may say, and the sentence for each mistake."""

from datetime import date, time
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from rules.detect.book import merge
from rules.detect.rule import InvalidRulesError, Window, parse

SHIPPED = files("rules").joinpath("definitions/alarms.yaml").read_text("utf-8")
RIVERSIDE = (Path(__file__).parents[2] / "deploy/sites/riverside.rules.yaml").read_text("utf-8")


def _changed(**changes: object) -> str:
    rule = next(r for r in yaml.safe_load(SHIPPED)["rules"] if r["code"] == "freeze-protection-trip")
    rule.update(changes)
    return yaml.safe_dump({"rules": [{k: v for k, v in rule.items() if v is not ...}]}, allow_unicode=True)


def test_the_shipped_rules_are_valid_and_the_training_building_only_shortens_them():
    shipped, riverside = parse(SHIPPED), parse(RIVERSIDE)
    own = [r for r in riverside if r.code == "plant-stale"]  # the building splits the rule about silence in two
    riverside = [r for r in riverside if r not in own]
    assert {r.code for r in riverside} < {r.code for r in shipped}
    book = merge(shipped, [*riverside, *own])
    by_code = {r.code: r for r in book.in_force(date(2026, 11, 23))}
    assert by_code["supply-air-temperature-deviation"].on_delay_s == 5
    assert by_code["freeze-protection-trip"].priority == "critical"
    assert [r.code for r in book.about_silence(date(2026, 11, 23))] == ["device-stale", "plant-stale"]
    for site, house in ((r, next(s for s in shipped if s.code == r.code)) for r in riverside):
        assert site.on_delay_s <= house.on_delay_s
        assert (site.priority, site.name_zh, site.measures) == (house.priority, house.name_zh, house.measures)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (_changed(colour="red"), "Rule 'freeze-protection-trip': 'colour' is not a known key"),
        (_changed(priority=...), "Rule 'freeze-protection-trip': 'priority' is missing; add it."),
        (_changed(on_delay_s=-1), "Rule 'freeze-protection-trip': 'on_delay_s': input should be greater"),
        (_changed(condition={"kind": "state", "measure": "x", "equals": 1, "off": 2}), "'condition.off' is not"),
        (_changed(condition={"kind": "guess"}), "'condition'"),
        (_changed(condition={"kind": "limit", "measure": "x"}), "a limit needs 'above' or 'below'"),
        (
            _changed(condition={"kind": "deviation", "measure": "x", "setpoint": "y", "above": 1, "deadband": 1}),
            "could never clear",
        ),
        ("rules: [", "not YAML at line 1"),
        ("rules: 3", "'rules'"),
        ("- a", "The rule file"),
        ("", "The rule file"),
    ],
)
def test_a_mistake_in_a_rule_file_gets_one_sentence(text, sentence):
    with pytest.raises(InvalidRulesError) as caught:
        parse(text)
    assert len(caught.value.problems) == 1
    assert sentence in caught.value.problems[0]


def test_a_version_number_is_given_once():
    twice = yaml.safe_load(_changed())["rules"] * 2
    with pytest.raises(InvalidRulesError, match="has version 1 twice"):
        parse(yaml.safe_dump({"rules": twice}))


def test_the_version_in_force_is_that_of_the_day_and_an_override_replaces_all_versions():
    first, second = parse(_changed())[0], parse(_changed(version=2, valid_from="2027-01-01"))[0]
    book = merge([first, second])
    assert book.in_force(date(2025, 12, 31)) == ()
    assert book.in_force(date(2026, 12, 31)) == (first,)
    assert book.in_force(date(2027, 1, 1)) == (second,)
    assert book.version(first.code, 1) == first
    third = parse(_changed(version=9))[0]
    assert merge([first, second], [third]).rules == (third,)
    assert merge([first], [third]).version(first.code, 1) == third
    assert merge([first]).version("gone", 1) is None


def test_a_window_may_run_across_midnight():
    night = Window(start=time(23), end=time(5))
    assert [moment in night for moment in (time(22, 59), time(23), time(0), time(4, 59), time(5))] == [
        False, True, True, True, False,
    ]  # fmt: skip


def test_a_rule_watches_only_devices_that_have_all_it_reads():
    rule = next(r for r in parse(SHIPPED) if r.code == "supply-air-temperature-deviation")
    assert rule.watches("rs-ahu1", "plant", {"supply_temp", "supply_setpoint", "fan_running", "more"})
    assert not rule.watches("rs-ahu1", "plant", {"supply_temp", "supply_setpoint"})
    assert not rule.watches("other", "plant", rule.measures)
