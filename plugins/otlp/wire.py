"""Protobuf's wire format, as far as joining what is serialized needs it.

A message is nothing but its fields one behind the other, and one within another stands there as its
length and its bytes: https://protobuf.dev/programming-guides/encoding/.
"""

import functools
from typing import Final

from google.protobuf.message import Message

FIXED64: Final = 1
LENGTH: Final = 2
"""Wire types: eight bytes; a length and so many bytes."""


def tag(kind: type[Message], name: str, wire: int = LENGTH) -> bytes:
    """Give what stands before a field of a message, with the number that the library knows."""
    return varint(kind.DESCRIPTOR.fields_by_name[name].number << 3 | wire)


def field(before: bytes, content: bytes) -> bytes:
    """Give a field that holds a serialized message or a text.

    Args:
        before: its tag.
    """
    return before + varint(len(content)) + content


@functools.lru_cache(4096)  # most lengths come again and again
def varint(number: int) -> bytes:
    """Write a number: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
