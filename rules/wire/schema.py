"""The Sparkplug B payload message, from the field numbers of the specification.

Source: Eclipse Sparkplug 3.0.0, section 6.4 (payload definition).  Only what Plantroom writes and reads
is named; unknown fields of other makers are skipped by protobuf.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_LABEL = {"one": 1, "many": 3}
_TYPE = {
    "double": 1,
    "float": 2,
    "uint64": 4,
    "bool": 8,
    "string": 9,
    "message": 11,
    "bytes": 12,
    "uint32": 13,
}

_VALUES = [
    ("int_value", "uint32"),
    ("long_value", "uint64"),
    ("float_value", "float"),
    ("double_value", "double"),
    ("boolean_value", "bool"),
    ("string_value", "string"),
]

# message -> (field, number, label, type, message type)
_MESSAGES: dict[str, list[tuple[str, int, str, str, str]]] = {
    "PropertyValue": [
        ("type", 1, "one", "uint32", ""),
        ("is_null", 2, "one", "bool", ""),
        *((name, number, "one", kind, "") for number, (name, kind) in enumerate(_VALUES, 3)),
    ],
    "PropertySet": [("keys", 1, "many", "string", ""), ("values", 2, "many", "message", "PropertyValue")],
    "Metric": [
        ("name", 1, "one", "string", ""),
        ("alias", 2, "one", "uint64", ""),
        ("timestamp", 3, "one", "uint64", ""),
        ("datatype", 4, "one", "uint32", ""),
        ("is_historical", 5, "one", "bool", ""),
        ("is_null", 7, "one", "bool", ""),
        ("properties", 9, "one", "message", "PropertySet"),
        *((name, number, "one", kind, "") for number, (name, kind) in enumerate(_VALUES, 10)),
        ("bytes_value", 16, "one", "bytes", ""),
    ],
    "Payload": [
        ("timestamp", 1, "one", "uint64", ""),
        ("metrics", 2, "many", "message", "Metric"),
        ("seq", 3, "one", "uint64", ""),
    ],
}


def _payload_class() -> type[Message]:
    package = "plantroom.sparkplug"
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package=package, syntax="proto2")
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        if any(name == "int_value" for name, *_ in fields):
            declared.oneof_decl.add(name="value")
        for name, number, label, kind, of in fields:
            field = declared.field.add(name=name, number=number)
            field.label = _LABEL[label]  # type: ignore[assignment]  # the stub wants its own enum
            field.type = _TYPE[kind]  # type: ignore[assignment]  # the stub wants its own enum
            if of:
                field.type_name = f".{package}.{of}"
            if name.endswith("_value"):
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Payload"))


PayloadMessage = _payload_class()
