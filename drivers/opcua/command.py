"""Setting one node: as the type that it holds, with the server's own word on how it went."""

from decimal import Decimal

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from drivers.errors import MisconfiguredError, RefusedError
from drivers.opcua.session import Connection
from drivers.opcua.status import quality, words
from drivers.opcua.value import Told, variant_of
from rules.model.quality import Quality

_BUILT_IN_MAX = 25  # data types up to it are the built-in ones (OPC 10000-6, 5.1.2)


async def write(connection: Connection, node: ua.NodeId | str, told: Told, raw: Decimal) -> bool:
    """Set a node to the device's number ``raw``; gives whether it holds that already.

    A server may take a command and carry it out later.  Raises drivers.errors, SaidNoError.
    """
    code = told.asked.point.code
    if isinstance(node, str):
        raise MisconfiguredError(node)
    variant = variant_of(raw, await _kind(connection, node, code), told.measure, code)
    answers = await connection.ask(connection.session.write_attributes([node], [ua.DataValue(Value=variant)]))
    said = answers[0].value if answers else StatusCodes.BadUnexpectedError
    if quality(said) is Quality.BAD:
        raise RefusedError(f"'{code}' was not set: {connection.place} says {words(said)}")
    return bool(said != StatusCodes.GoodCompletesAsynchronously)


async def _kind(connection: Connection, node: ua.NodeId, code: str) -> ua.VariantType:
    """Give the type that a node holds: that of its value, or where it has none yet its data type."""
    wanted = [
        ua.ReadValueId(NodeId=node, AttributeId=attribute) for attribute in (AttributeIds.Value, AttributeIds.DataType)
    ]
    value, declared = await connection.read(ua.ReadParameters(NodesToRead=wanted))
    if value.Value is not None and isinstance(value.Value.VariantType, ua.VariantType):
        if value.Value.is_array:
            raise RefusedError(f"'{code}' is an array, which cannot be set")
        if value.Value.VariantType is not ua.VariantType.Null:
            return value.Value.VariantType
    name = declared.Value.Value if declared.Value is not None else None
    built_in = name.Identifier if isinstance(name, ua.NodeId) and name.NamespaceIndex == 0 else None
    if isinstance(built_in, int) and 0 < built_in <= _BUILT_IN_MAX:
        return ua.VariantType(built_in)
    status = value.StatusCode.value if value.StatusCode is not None else StatusCodes.BadTypeMismatch
    raise RefusedError(f"'{code}' was not set, for its type is not known: {connection.place} says {words(status)}")
