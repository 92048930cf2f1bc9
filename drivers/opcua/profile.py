"""Profiles of OPC UA servers: which node a measure is."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from drivers.profile import Measure, Profile, twice
from rules.model.point import Kind

OPC_NAMESPACE = "http://opcfoundation.org/UA/"  # index 0 on every server (OPC 10000-3, 5.2.2)
STATES_MAX = 200

# OPC 10000-6, 5.3.1.10: numeric, string, GUID and opaque identifiers.  An index ("ns=2;") is none of them: it may be
# another after each start of the server.
Identifier = Annotated[
    str,
    StringConstraints(
        pattern=r"^(i=[0-9]{1,10}|s=.{1,4096}|g=[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|b=[A-Za-z0-9+/]+=*)$"
    ),
]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class OpcuaMeasure(Measure):
    """A measure and the node that it comes from (``s=Chiller1.SupplyTemp`` of ``namespace``).

    ``index`` picks one element of a node that is an array.  ``states`` says which number a word of the device is,
    for nodes that hold text.
    """

    node: Identifier
    namespace: Uri | None = None  # None: the profile's
    index: Annotated[int, Field(ge=0, le=100_000)] | None = None
    states: Annotated[Mapping[Word, int], Field(max_length=STATES_MAX)] = Field(default_factory=dict)
    writable: tuple[Decimal, Decimal] | None = None  # from, to, in ``unit``; None: read only

    @model_validator(mode="before")
    @classmethod
    def _without_index(cls, data: object) -> object:
        node = data.get("node") if isinstance(data, Mapping) else None
        if isinstance(node, str) and node.startswith("ns="):
            raise ValueError(
                f"'{node}' names a namespace by its index, which may change when the server starts; write the "
                "namespace's URI as namespace and only what follows the semicolon as node"
            )
        return data

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems = {
            "is writable from more to less": self.writable is not None and self.writable[0] > self.writable[1],
            "has states and is no state": bool(self.states) and self.kind is not Kind.STATE,
            "is one element of an array, which cannot be set by itself":
                self.index is not None and self.writable is not None,
        }  # fmt: skip
        for problem, found in problems.items():
            if found:
                raise ValueError(f"measure '{self.name}' {problem}")
        return self


class OpcuaProfile(Profile):
    """One model of server.

    ``namespace`` is the URI that nodes are of when their measure names no other; without it they are of OPC UA's own.
    At most ``max_read`` nodes are asked in one Read.  With ``subscribe`` the server tells changes by itself.
    """

    protocol: Literal["opcua"]
    namespace: Uri = OPC_NAMESPACE
    max_read: Annotated[int, Field(ge=1, le=1000)] = 500
    subscribe: bool = False
    measure: Annotated[tuple[OpcuaMeasure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[OpcuaMeasure, ...]:
        """All measures in the order of the file."""
        return self.measure

    def namespace_of(self, measure: OpcuaMeasure) -> str:
        """Give the URI of the namespace that a measure's node is of."""
        return measure.namespace or self.namespace

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        places = [(self.namespace_of(measure), measure.node, measure.index) for measure in self.measure]
        for place, measure in zip(places, self.measure, strict=True):
            if places.count(place) > 1:
                raise ValueError(f"measure '{measure.name}': node {measure.node} stands more than once")
        return self
