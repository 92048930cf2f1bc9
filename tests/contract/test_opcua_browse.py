"""Looking at what an OPC UA server has, within bounds, and the draft that comes of it."""

import asyncio
import itertools
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.ua_binary import struct_from_binary
from typer.testing import CliRunner

from deploy.cli import app
from drivers.catalogue import parse
from drivers.driver import Asked, Device
from drivers.errors import MisconfiguredError, UnreachableError
from drivers.opcua import browse as module
from drivers.opcua import trust
from drivers.opcua.browse import Found, Variable, browse
from drivers.opcua.draft import code_of, draft
from drivers.opcua.line import OpcuaDriver
from drivers.opcua.profile import OPC_NAMESPACE, OpcuaProfile
from rules.model import site
from rules.model.line import OpcuaLine
from rules.model.point import Point
from rules.model.quality import Quality
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.ground_opcua import OTHER_URI, URI, OpcuaGround
from tests.field import site_text

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
FILLED = """
[[line]]
code = "L"
gateway = "GW-1"
driver = "opcua"
url = "opc.tcp://127.0.0.1:4840"
poll_s = 10
"""


@pytest.fixture
async def ground() -> AsyncIterator[OpcuaGround]:
    made = OpcuaGround()
    made.before = (OTHER_URI,)
    made.show(SHOWN)
    await made.start()
    yield made
    await made.stop()


async def looked(ground: OpcuaGround, *where: str, **more: Any) -> Found:
    assert isinstance(ground.line, OpcuaLine)
    return await browse(ground.line, lambda: datetime.now(UTC), *where, **more)


async def furnish(ground: OpcuaGround) -> None:
    """Add what plant has: a folder in a folder, units, states, text, an array."""
    deeper = await ground.folder.add_object(ground.index, "AHU 1")
    temp = await deeper.add_variable(
        ua.NodeId.from_string(f"ns={ground.index};s=ahu.temp"), "SupplyTemp", 18.5, ua.VariantType.Double
    )
    unit = ua.EUInformation(DisplayName=ua.LocalizedText("°C"))
    await temp.add_property(ground.index, "EngineeringUnits", unit)
    fan = await deeper.add_variable(ground.index, "Fan", True, ua.VariantType.Boolean)
    await fan.set_writable()
    await deeper.add_variable(ground.index, "Name", "north", ua.VariantType.String)
    await deeper.add_variable(ground.index, "Curve", [1.0, 2.0], ua.VariantType.Double)
    await deeper.add_variable(
        ua.NodeId.from_string("ns=2;s=elsewhere"), "SupplyTemp", ua.Variant(3, ua.VariantType.Int16)
    )


async def test_variables_are_found_with_type_unit_and_the_namespace_s_uri(ground: OpcuaGround) -> None:
    await furnish(ground)
    found = await looked(ground)
    assert found.ended == ""
    by_path = {("/".join(one.path), one.node): one for one in found.variables}
    assert by_path["Plant/M.energy", "s=M.energy"] == Variable(
        ("Plant", "M.energy"), URI, "s=M.energy", "UInt32", array=False, settable=False
    )
    assert by_path["Plant/M.setpoint", "s=M.setpoint"].settable
    temp = by_path["Plant/AHU 1/SupplyTemp", "s=ahu.temp"]
    assert (temp.type, temp.unit, temp.array) == ("Double", "°C", False)
    assert by_path["Plant/AHU 1/SupplyTemp", "s=elsewhere"].namespace == OTHER_URI
    assert [one.array for one in found.variables if one.path[-1] == "Curve"] == [True]
    assert not [one for one in found.variables if one.namespace == OPC_NAMESPACE]


async def test_only_what_is_below_a_node_is_looked_at(ground: OpcuaGround) -> None:
    await furnish(ground)
    assert (await looked(ground, "s=ahu.temp", URI)).variables == ()
    with pytest.raises(MisconfiguredError, match="no namespace"):
        await looked(ground, "s=x", "urn:not:here")


def reference(node: ua.NodeId, kind: ua.NodeClass = ua.NodeClass.Object) -> ua.ReferenceDescription:
    return ua.ReferenceDescription(
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.Organizes)),
        NodeId=ua.ExpandedNodeId(node.Identifier, node.NamespaceIndex),
        BrowseName=ua.QualifiedName("child", 2),
        NodeClass=kind,
    )


async def test_a_server_that_is_its_own_child_is_soon_done(ground: OpcuaGround) -> None:
    ground.children = lambda node: ua.BrowseResult(References=[reference(node)])
    assert await looked(ground) == Found(())


async def test_children_without_end_meet_the_bounds(ground: OpcuaGround, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count(1)
    ground.children = lambda _: ua.BrowseResult(
        References=[reference(ua.NodeId(ua.Int32(next(numbers)), ua.Int16(2))) for _ in range(50)]
    )
    monkeypatch.setattr(module, "NODES_MAX", 3000)
    assert (await looked(ground)).ended == "there are more than 3000 nodes"


async def test_depth_without_end_meets_the_bounds(ground: OpcuaGround) -> None:
    numbers = itertools.count(1)
    ground.children = lambda _: ua.BrowseResult(References=[reference(ua.NodeId(ua.Int32(next(numbers)), ua.Int16(2)))])
    assert (await looked(ground)).ended == "it goes deeper than 16 levels"


async def test_a_walk_that_takes_too_long_ends(ground: OpcuaGround) -> None:
    numbers = itertools.count(1)
    ticks = itertools.count(0, 5)
    ground.children = lambda _: ua.BrowseResult(References=[reference(ua.NodeId(ua.Int32(next(numbers)), ua.Int16(2)))])
    found = await looked(ground, monotonic_s=lambda: float(next(ticks)))
    assert found.ended == "it took longer than 120 s"


async def test_what_comes_in_parts_is_put_together_and_an_endless_list_is_let_go(
    ground: OpcuaGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHILDREN_MAX", 40)
    numbers = itertools.count(1)
    released = []

    def some() -> ua.BrowseResult:
        children = [reference(ua.NodeId(ua.Int32(next(numbers)), ua.Int16(2))) for _ in range(10)]
        return ua.BrowseResult(ContinuationPoint=b"more", References=children)

    taken = UaProcessor._process_message

    async def more(self: UaProcessor, typeid: ua.NodeId, head: Any, sequence: Any, body: Any) -> Any:
        if typeid != ua.NodeId(ObjectIds.BrowseNextRequest_Encoding_DefaultBinary):
            return await taken(self, typeid, head, sequence, body)
        asked = struct_from_binary(ua.BrowseNextParameters, body)
        released.append(asked.ReleaseContinuationPoints)
        self.send_response(
            head.RequestHandle, sequence, ua.BrowseNextResponse(Parameters=ua.BrowseNextResult(Results=[some()]))
        )
        return True

    monkeypatch.setattr(UaProcessor, "_process_message", more)  # this library's server has no BrowseNext
    ground.children = lambda node: some() if node.NamespaceIndex == 0 else ua.BrowseResult()
    assert (await looked(ground)).ended.endswith("has more than 40 children")
    assert released == [False, False, False, True]


async def test_who_does_not_answer_is_said(ground: OpcuaGround) -> None:
    await ground.stop()
    with pytest.raises(UnreachableError):
        await looked(ground)


async def test_the_draft_is_a_profile_that_reads(ground: OpcuaGround) -> None:
    await furnish(ground)
    found = await looked(ground)
    assert isinstance(ground.line, OpcuaLine)
    code = code_of(ground.line.url)
    snippet, profiles = draft(found, ground.line.url, code)
    profile = parse(profiles[code], code)
    assert isinstance(profile, OpcuaProfile)
    units = {measure.name: measure.unit for measure in profile.measures}
    assert units["supply_temp"] == "°C"
    assert len(units) == 6  # three of the ground, two temperatures, the fan
    assert "Plant/AHU 1/Name (String)" in profiles[code]
    assert "Plant/AHU 1/Curve (array of Double)" in profiles[code]
    assert tomllib.loads(snippet)["line"][0]["url"] == ground.line.url
    points = tuple(Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step), m.name) for m in profile.measures)
    driver = OpcuaDriver(ground.line, lambda: datetime.now(UTC))
    readings = await driver.station(Device("M", "", profile, points)).read()
    await driver.close()
    assert {reading.quality for reading in readings} == {Quality.GOOD}


def test_words_of_a_hostile_server_stay_words() -> None:
    evil = 'a"\n[[measure]]\nname = "b'
    one = Variable((evil, "…"), evil, f"s={evil}", "Double", array=False, settable=True, unit=evil)
    snippet, profiles = draft(Found((one, one), evil), "opc.tcp://h:1", "draft")
    data = tomllib.loads(profiles["draft"])
    assert [measure["name"] for measure in data["measure"]] == ["value", "value_2"]
    assert {measure["node"] for measure in data["measure"]} == {f"s={evil}"}
    assert set(tomllib.loads(snippet)) == {"line", "device"}


async def test_the_command_writes_a_draft_site_and_its_profile(ground: OpcuaGround, tmp_path: Path) -> None:
    out = tmp_path / "draft.toml"
    assert isinstance(ground.line, OpcuaLine)
    words = ["edge", "scan", "opcua", ground.line.url, "--out", str(out)]
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert done.exit_code == 0, done.output
    file = site.parse(tomllib.loads(out.read_text(encoding="utf-8")))
    (profile,) = (tmp_path / "profiles").iterdir()
    assert file.device[0].profile == profile.stem
    assert parse(profile.read_text(encoding="utf-8"), profile.stem).measures
    again = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert again.exit_code == 1
    assert "is there already" in str(again.exception)


def test_the_command_makes_a_certificate_once(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(site_text(502) + FILLED, encoding="utf-8")
    words = ["edge", "certificate", str(path), "L", "--out", str(tmp_path / "pki")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "pki" / "opcua-L-key.pem").stat().st_mode & 0o077 == 0
    ours = trust.own(str(tmp_path / "pki" / "opcua-L.pem"), str(tmp_path / "pki" / "opcua-L-key.pem"))
    assert ours.uri == "urn:plantroom:S1:GW-1:L"
    assert ours.until - datetime.now(UTC) > trust.WARN_BEFORE
    assert CliRunner().invoke(app, words).exit_code == 1
    assert CliRunner().invoke(app, [*words[:3], "L1", *words[4:]]).exit_code == 1
