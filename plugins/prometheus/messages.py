"""The protobuf messages of remote-write 1.0, described in code.

prometheus/prompb, remote.proto and types.proto, as far as they are sent; the fields' numbers are
all that the wire knows of them.
"""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "prometheus"
_F: Final = FieldDescriptorProto
_MESSAGES: Final = {
    "Label": (("name", 1, _F.TYPE_STRING), ("value", 2, _F.TYPE_STRING)),
    "Sample": (("value", 1, _F.TYPE_DOUBLE), ("timestamp", 2, _F.TYPE_INT64)),
    "TimeSeries": (("labels", 1, "Label"), ("samples", 2, "Sample")),
    "WriteRequest": (("timeseries", 1, "TimeSeries"),),
}


def write_request_type() -> Any:
    """Make the class of `WriteRequest`; field by field a protobuf message like a generated one."""
    file = FileDescriptorProto(
        name="isaax/prometheus/remote.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            if isinstance(kind, str):  # messages are repeated, here
                described.field.add(
                    name=name,
                    number=number,
                    label=_F.LABEL_REPEATED,
                    type=_F.TYPE_MESSAGE,
                    type_name=f".{_PACKAGE}.{kind}",
                )
            else:
                described.field.add(name=name, number=number, label=_F.LABEL_OPTIONAL, type=kind)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.WriteRequest"))
