"""Every alarm of the platform names its section of the runbook and speaks of figures that exist; the page knows all."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.metrics import Machine
from edge_agent.health import Health
from edge_agent.metrics import EdgeCollector
from hub.health.findings import KINDS
from hub.ingest.counts import Counts
from hub.jobs.doings import Doings
from hub.metrics import HubCollector
from web.words import WORDS

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text("utf-8")
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
SECTIONS = dict(re.findall(r"^## ([\w -]+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
OF_THE_WEB = {"plantroom_web_requests_total", "plantroom_web_request_seconds"}


class Quiet:
    """A hub and a gateway that have done nothing yet; only what the collectors ask is there."""

    counts = Counts()
    connected = storing = False
    dropped = percent = used = in_flight = 0

    def waiting(self) -> tuple[int, float]:
        return 0, 0.0

    def depth(self) -> int:
        return 0

    def pool(self) -> dict[str, int]:
        return {"size": 0, "free": 0, "most": 0, "waiting": 0}


def metrics(tmp_path: Path) -> dict[str, str]:
    """Every metric that the programs give, with its help."""
    quiet: Any = Quiet()
    collectors = (HubCollector(quiet, quiet, Doings()), EdgeCollector(Health(), quiet, quiet), Machine(tmp_path))
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.documentation
        for collector in collectors
        for family in collector.collect()
    }


def anchors() -> set[str]:
    return {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_names_a_section_that_exists_and_figures_that_exist(rule: dict[str, Any], tmp_path: Path) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert file == "deploy/runbook.md"
    assert anchor in anchors()
    named = set(re.findall(r"\bplantroom_\w+", rule["expr"]))
    assert named <= metrics(tmp_path).keys() | OF_THE_WEB
    assert named or "up" in rule["expr"]
    assert rule["labels"]["severity"] in ("warning", "critical")


def test_every_metric_says_what_it_is_in_the_manner_of_prometheus(tmp_path: Path) -> None:
    for name, said in metrics(tmp_path).items():
        assert re.fullmatch(r"plantroom_[a-z]+(_[a-z]+)*", name), name
        assert said.endswith("."), name


def test_the_page_knows_every_state_and_each_has_its_section_and_its_alarm() -> None:
    assert {code for code in WORDS if code.startswith("platform.")} == {f"platform.{kind}" for kind in KINDS}
    assert set(KINDS) <= anchors()
    assert set(KINDS) <= {rule["annotations"]["runbook"].partition("#")[2] for rule in RULES}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_says_what_is_meant_what_is_safe_what_to_do_and_when_it_is_over(section: str) -> None:
    if section == "Restore a backup":
        return
    for word in ("**Means.**", "**Safe.**", "**Do.**", "**Over when**"):
        assert word in SECTIONS[section], word


def test_links_and_figures_of_the_runbook_exist(tmp_path: Path) -> None:
    assert set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOK)) <= anchors()
    assert set(re.findall(r"\bplantroom_[a-z]\w+", RUNBOOK)) <= metrics(tmp_path).keys() | OF_THE_WEB | {
        "plantroom_hub", "plantroom_ingest_commit_seconds",
    }  # fmt: skip
