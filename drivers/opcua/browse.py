"""What a server has below a node: its variables with type and unit, looked for within bounds.

The walk follows the hierarchical references forward (OPC 10000-3, 7) and visits each node once, so a server that
has itself as its own child is soon done; one that makes up new children for ever meets the bounds.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.errors import MisconfiguredError
from drivers.opcua.nodes import NoNodeError, node_of, written
from drivers.opcua.profile import OPC_NAMESPACE
from drivers.opcua.session import LIMITS, AgainError, Connection, Session
from drivers.opcua.status import GONE, TOO_MUCH, SaidNoError
from rules.model.line import OpcuaLine

OBJECTS = f"i={ObjectIds.ObjectsFolder}"
NODES_MAX = 20_000
VARIABLES_MAX = 2_000
DEPTH_MAX = 16
BROWSE_S = 120.0
CHILDREN_MAX = 5_000  # of one node
REFERENCES_MAX = 200  # in one answer, for each node
PARTS = 20  # nodes in one Browse
READ_PARTS = 100  # nodes in one Read
NAME_CHARACTERS_MAX = 100
_PER_READ, _, _PER_BROWSE = LIMITS
_UNITS = "EngineeringUnits"  # the property that holds EUInformation (OPC 10000-8, 5.6.3)
# Built-in types, and those of the standard's own that are one of them (OPC 10000-6, 5.1.2; OPC 10000-3, 8).
_TYPES = {
    ObjectIds.Boolean: "Boolean", ObjectIds.SByte: "SByte", ObjectIds.Byte: "Byte", ObjectIds.Int16: "Int16",
    ObjectIds.UInt16: "UInt16", ObjectIds.Int32: "Int32", ObjectIds.UInt32: "UInt32", ObjectIds.Int64: "Int64",
    ObjectIds.UInt64: "UInt64", ObjectIds.Float: "Float", ObjectIds.Double: "Double", ObjectIds.Number: "Number",
    ObjectIds.Integer: "Integer", ObjectIds.UInteger: "UInteger", ObjectIds.Duration: "Double",
    ObjectIds.Counter: "UInt32", ObjectIds.Enumeration: "Int32", ObjectIds.String: "String",
    ObjectIds.LocalizedText: "LocalizedText", ObjectIds.DateTime: "DateTime", ObjectIds.UtcTime: "DateTime",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: where it hangs, how a profile names it, and what it holds.

    ``type`` is a built-in type, or '' for one of the server's own (often an enumeration).  ``unit`` is as the server
    writes it, '' where it names none.
    """

    path: tuple[str, ...]
    namespace: str
    node: str
    type: str
    array: bool
    settable: bool
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The variables below a node, in the order of the walk, and why the walk ended early ('' when it did not)."""

    variables: tuple[Variable, ...]
    ended: str = ""


@dataclass(slots=True)
class _Place:
    node: ua.NodeId
    path: tuple[str, ...]
    unit: ua.NodeId | None = None


@dataclass(slots=True)
class _Walk:
    connection: Connection
    late: Callable[[], bool]
    seen: set[ua.NodeId] = field(default_factory=set)
    variables: list[_Place] = field(default_factory=list)
    ended: str = ""

    @property
    def full(self) -> bool:
        """Whether a bound was met; says which."""
        if len(self.seen) >= NODES_MAX:
            self.ended = f"there are more than {NODES_MAX} nodes"
        elif len(self.variables) >= VARIABLES_MAX:
            self.ended = f"there are more than {VARIABLES_MAX} variables"
        elif self.late():
            self.ended = f"it took longer than {BROWSE_S:g} s"
        return bool(self.ended)


async def browse(
    line: OpcuaLine,
    now: Callable[[], datetime],
    start: str = OBJECTS,
    namespace: str = OPC_NAMESPACE,
    *,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> Found:
    """Look for the variables below a node; raises drivers.errors."""
    session = Session(line, now, monotonic_s)
    until_s = monotonic_s() + BROWSE_S
    try:
        return await session.run(
            lambda connection: _browsed(connection, start, namespace, lambda: monotonic_s() > until_s)
        )
    finally:
        await session.close()


async def _browsed(connection: Connection, start: str, namespace: str, late: Callable[[], bool]) -> Found:
    try:
        first = _Place(node_of(start, namespace, connection), ())
    except NoNodeError as error:
        raise MisconfiguredError(str(error)) from None
    walk = _Walk(connection, late)
    walk.seen.add(first.node)
    if start == OBJECTS and namespace == OPC_NAMESPACE:
        walk.seen.add(ua.NodeId(ua.Int32(ObjectIds.Server)))  # what the server says of itself is no plant
    level = [first]
    for _ in range(DEPTH_MAX):
        level = await _below(walk, level)
        if not level or walk.full:
            break
    else:
        walk.ended = f"it goes deeper than {DEPTH_MAX} levels"
    return Found(tuple(await _described(walk)), walk.ended)


async def _below(walk: _Walk, level: Sequence[_Place]) -> list[_Place]:
    """Give the places one level down that nobody has seen yet, and note the variables among them."""
    below: list[_Place] = []
    size = walk.connection.at_most(_PER_BROWSE, PARTS)
    for first in range(0, len(level), size):
        if walk.full:
            break
        part = level[first : first + size]
        for place, children in zip(part, await _children(walk, part), strict=True):
            below.extend(under for child in children if (under := _taken(walk, place, child)) is not None)
    return below


def _taken(walk: _Walk, place: _Place, child: ua.ReferenceDescription) -> _Place | None:
    node = ua.NodeId(child.NodeId.Identifier, child.NodeId.NamespaceIndex, child.NodeId.NodeIdType)
    name = str(child.BrowseName.Name or "")[:NAME_CHARACTERS_MAX]
    if name == _UNITS and child.NodeClass == ua.NodeClass.Variable:
        place.unit = node
        return None
    if node in walk.seen or child.NodeClass not in (ua.NodeClass.Object, ua.NodeClass.Variable):
        return None
    walk.seen.add(node)
    under = _Place(node, (*place.path, name))
    is_property = child.ReferenceTypeId == ua.NodeId(ua.Int32(ObjectIds.HasProperty))
    if child.NodeClass == ua.NodeClass.Variable and not is_property:
        walk.variables.append(under)
    return None if is_property else under


async def _children(walk: _Walk, places: Sequence[_Place]) -> list[list[ua.ReferenceDescription]]:
    """Browse places, in smaller parts when the answer is too long; a place that says no has no children."""
    wanted = [
        ua.BrowseDescription(
            NodeId=place.node,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
            NodeClassMask=ua.UInt32(ua.NodeClass.Object | ua.NodeClass.Variable),
            ResultMask=ua.UInt32(ua.BrowseResultMask.All),
        )
        for place in places
    ]
    params = ua.BrowseParameters(RequestedMaxReferencesPerNode=ua.UInt32(REFERENCES_MAX), NodesToBrowse=wanted)
    connection = walk.connection
    try:
        results = await connection.ask(connection.session.browse(params))
    except SaidNoError as error:
        _known(connection, error)
        if error.code in TOO_MUCH and len(places) > 1:
            half = len(places) // 2
            return [*await _children(walk, places[:half]), *await _children(walk, places[half:])]
        return [[] for _ in places]
    found = [list(result.References or ()) for result in results[: len(places)]]
    found += [[] for _ in range(len(places) - len(found))]
    for number, result in enumerate(results[: len(places)]):
        point = result.ContinuationPoint
        while point and len(found[number]) < CHILDREN_MAX and not walk.late():
            point = await _more(connection, point, found[number])
        if point:
            walk.ended = walk.ended or f"{'/'.join(places[number].path)} has more than {len(found[number])} children"
            await _more(connection, point, [], release=True)
    return found


async def _more(
    connection: Connection, point: bytes, into: list[ua.ReferenceDescription], *, release: bool = False
) -> bytes | None:
    params = ua.BrowseNextParameters(ReleaseContinuationPoints=release, ContinuationPoints=[ua.ByteString(point)])
    try:
        results = await connection.ask(connection.session.browse_next(params))
    except SaidNoError as error:
        _known(connection, error)
        return None
    if release or not results:
        return None
    into.extend(results[0].References or ())
    return results[0].ContinuationPoint or None


def _known(connection: Connection, error: SaidNoError) -> None:
    """Go on after a no, unless it ends the session."""
    if error.code in GONE:
        raise error
    if not connection.client.connected:
        raise AgainError(f"{connection.place} sends answers longer than we take")


async def _described(walk: _Walk) -> list[Variable]:
    """Give type, access and unit of the variables; one whose node cannot be read is left out."""
    attributes = (AttributeIds.DataType, AttributeIds.ValueRank, AttributeIds.UserAccessLevel)
    places = walk.variables[:VARIABLES_MAX]
    answers = await _values(walk, [(place.node, one) for place in places for one in attributes])
    units = await _values(walk, [(place.unit, AttributeIds.Value) for place in places if place.unit is not None])
    texts = iter(units)
    described: list[Variable] = []
    for number, place in enumerate(places):
        kind, rank, access = answers[3 * number : 3 * number + 3]
        unit = _unit(next(texts)) if place.unit is not None else ""
        index = place.node.NamespaceIndex
        if not isinstance(kind, ua.NodeId) or index >= len(walk.connection.namespaces):
            continue
        own = kind.NamespaceIndex != 0 or not isinstance(kind.Identifier, int)
        described.append(
            Variable(
                path=place.path,
                namespace=walk.connection.namespaces[index],
                node=written(place.node),
                type="" if own else _TYPES.get(kind.Identifier, "") if isinstance(kind.Identifier, int) else "",
                array=isinstance(rank, int) and rank >= 0,
                settable=isinstance(access, int) and bool(access & 2),  # CurrentWrite (OPC 10000-3, 8.57)
                unit=unit,
            )
        )
    return described


def _unit(value: object) -> str:
    name = value.DisplayName.Text if isinstance(value, ua.EUInformation) else None
    return name.strip()[:NAME_CHARACTERS_MAX] if isinstance(name, str) else ""


async def _values(walk: _Walk, wanted: Sequence[tuple[ua.NodeId, AttributeIds]]) -> list[object]:
    """Read attributes; None for each that cannot be read, or no more in time."""
    found: list[object] = []
    size = walk.connection.at_most(_PER_READ, READ_PARTS)
    for first in range(0, len(wanted), size):
        part = wanted[first : first + size]
        nodes = [ua.ReadValueId(NodeId=node, AttributeId=one) for node, one in part]
        if walk.late():
            walk.ended = f"it took longer than {BROWSE_S:g} s"
            found += [None] * len(part)
            continue
        try:
            values = await walk.connection.read(ua.ReadParameters(NodesToRead=nodes))
        except SaidNoError as error:
            _known(walk.connection, error)
            found += [None] * len(part)
            continue
        found += [value.Value.Value if value.Value is not None else None for value in values]
    return found
