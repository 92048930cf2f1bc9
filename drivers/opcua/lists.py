"""The nodes of one device on its server, read in lists as long as the server takes."""

from collections.abc import Callable, Sequence

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.nodes import NoNodeError, node_of
from drivers.opcua.profile import OpcuaMeasure, OpcuaProfile
from drivers.opcua.session import AgainError, Connection
from drivers.opcua.status import TOO_MUCH, SaidNoError

TOO_LONG_RETRY_S = 600.0  # a node whose value is longer than any answer is left out for so long
LISTS_MAX = 200  # questions that are kept ready
_TOO_LONG = "its value is longer than any answer of a server may be"
_PER_READ = ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead


class Lists:
    """Nodes by the numbers of their measures; ``limit`` is how many go into one Read, as the server has taught us."""

    def __init__(
        self, measures: Sequence[OpcuaMeasure], profile: OpcuaProfile, monotonic_s: Callable[[], float]
    ) -> None:
        """Prepare; the nodes are found by ``meet``."""
        self.limit = profile.max_read
        self.nodes: list[ua.NodeId | str] = []  # or why there is none
        self._measures = measures
        self._profile = profile
        self._monotonic_s = monotonic_s
        self._too_long: dict[int, float] = {}  # left out until then
        self._met: Connection | None = None  # whose nodes these are
        self._ready: dict[tuple[int, ...], ua.ReadParameters] = {}

    def meet(self, connection: Connection) -> None:
        """Find the nodes of this connection."""
        if self._met is connection:
            return
        self.nodes = []
        self._ready.clear()
        for measure in self._measures:
            try:
                namespace = self._profile.namespace_of(measure)
                self.nodes.append(node_of(measure.node, namespace, connection))
            except NoNodeError as error:
                self.nodes.append(str(error))
        self._met = connection

    async def values(self, connection: Connection, numbers: Sequence[int]) -> list[ua.DataValue | str]:
        """Read points; a value, or why there is none, for each number in order."""
        self.meet(connection)
        found: dict[int, ua.DataValue | str] = {}
        asked: list[int] = []
        for number in numbers:
            node = self.nodes[number]
            if isinstance(node, str):
                found[number] = node
            elif self._too_long.get(number, 0.0) > self._monotonic_s():
                found[number] = _TOO_LONG
            else:
                asked.append(number)
        while asked:
            size = connection.at_most(_PER_READ, self.limit)
            part, rest = asked[:size], asked[size:]
            values = await self._part(connection, part)
            if values is None:
                continue  # in shorter lists
            found.update(zip(part, values, strict=True))
            asked = rest
        return [found[number] for number in numbers]

    async def _part(self, connection: Connection, numbers: Sequence[int]) -> Sequence[ua.DataValue | str] | None:
        """Read some points in one list; None when the list was too long and the next is to be shorter."""
        try:
            return await connection.read(self._list(tuple(numbers)))
        except SaidNoError as error:
            if error.code not in TOO_MUCH:
                raise
            if len(numbers) > 1:
                self.limit = (len(numbers) + 1) // 2
            else:
                self._too_long[numbers[0]] = self._monotonic_s() + TOO_LONG_RETRY_S
                self.limit = self._profile.max_read  # the one is out, the others were not to blame
            if not connection.client.connected:  # it was we who found it too long
                raise AgainError(f"{connection.place} sends answers longer than we take") from None
            return None if len(numbers) > 1 else [_TOO_LONG]

    def _list(self, numbers: tuple[int, ...]) -> ua.ReadParameters:
        """Give the question for some points, made once for each connection."""
        if numbers not in self._ready:
            if len(self._ready) >= LISTS_MAX:
                self._ready.clear()
            wanted = [
                ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value)
                for node in (self.nodes[number] for number in numbers)
                if not isinstance(node, str)
            ]
            self._ready[numbers] = ua.ReadParameters(NodesToRead=wanted)
        return self._ready[numbers]
