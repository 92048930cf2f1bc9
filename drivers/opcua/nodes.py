"""Nodes by namespace URI: found anew at every connect, because a server may order its namespaces as it likes."""

import base64
import binascii

from asyncua import ua

from drivers.opcua.session import Connection

SHOWN_MAX = 4


class NoNodeError(Exception):
    """There is no such node on this server; one sentence.  Never leaves drivers/opcua."""


def node_of(identifier: str, namespace: str, connection: Connection) -> ua.NodeId:
    """Give the node that ``s=...`` is on this server now; raises NoNodeError."""
    try:
        index = connection.namespaces.index(namespace)
    except ValueError:
        others = ", ".join(connection.namespaces[1 : 1 + SHOWN_MAX]) or "no other"
        raise NoNodeError(
            f"{connection.place} has no namespace '{namespace}' (it has {others}); check the profile"
        ) from None
    kind, _, text = identifier.partition("=")
    try:
        match kind:
            case "i":
                return ua.NodeId(ua.Int32(int(text)), ua.Int16(index), ua.NodeIdType.Numeric)
            case "s":
                return ua.NodeId(ua.String(text), ua.Int16(index), ua.NodeIdType.String)
            case "g":
                return ua.NodeId(ua.Guid(text), ua.Int16(index), ua.NodeIdType.Guid)
            case _:
                return ua.NodeId(
                    ua.ByteString(base64.b64decode(text, validate=True)), ua.Int16(index), ua.NodeIdType.ByteString
                )
    except (ValueError, binascii.Error):
        raise NoNodeError(f"'{identifier}' is no identifier of a node; correct the profile") from None


def written(node: ua.NodeId) -> str:
    """Give an identifier as a profile has it ('s=Chiller1.SupplyTemp')."""
    match node.NodeIdType:
        case ua.NodeIdType.String:
            return f"s={node.Identifier!s}"
        case ua.NodeIdType.Guid:
            return f"g={node.Identifier!s}"
        case ua.NodeIdType.ByteString:
            return f"b={base64.b64encode(bytes(node.Identifier)).decode()}"  # type: ignore[arg-type]
        case _:
            return f"i={node.Identifier!s}"
