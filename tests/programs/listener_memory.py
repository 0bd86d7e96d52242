"""Reads hostile bodies in a process of its own, and says how much memory each took at most.

Prints a JSON object: by the body's name, how many times its size. The kernel counts (`VmHWM`), for
what protobuf takes is no memory of Python's.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from plugins.http_listener.lines import read_lines
from plugins.http_listener.otlp import JSON, PROTOBUF, read_logs
from plugins.http_listener.refusals import Refused

SIZE = 8 * 1024 * 1024
MOST = 100_000  # lines, as by default

Read = Callable[[bytes], object]


def json_bodies() -> Iterator[tuple[str, bytes]]:
    """Bodies of OTLP that hold as many of one thing as fit."""
    record = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}'
    holes = {
        "resources": b'{"resourceLogs":[%b]}',
        "scopes": b'{"resourceLogs":[{"scopeLogs":[%b]}]}',
        "records": record,
        "attributes of a resource": b'{"resourceLogs":[{"resource":{"attributes":[%b]}}]}',
        "attributes of a record": record % b'{"attributes":[%b]}',
        "values of an array": record % b'{"body":{"arrayValue":{"values":[%b]}}}',
        "what is not known": b'{"unknown":[%b]}',
        "texts": record % b'{"body":{"stringValue":"{{{{"}},%b',
    }
    pair = b'{"key":"a","value":{"stringValue":"x"}}'
    for name, hole in holes.items():
        # The third one is not so dense as to be refused before anything is made of it.
        for what in (b"{}", b'""', b"%-11b" % b"{}", pair):
            yield f"{name}: {what.decode().strip()} ({len(what)})", hole % _many(what)


def protobuf_bodies() -> Iterator[tuple[str, bytes]]:
    """The same in protobuf, where an empty message has two bytes."""
    half = SIZE // 2
    yield "resources", b"\x0a\x00" * half
    yield "scopes", _nested(b"\x0a", b"\x12\x00" * half)
    yield "records", _nested(b"\x0a\x12", b"\x12\x00" * half)
    yield "attributes of a resource", _nested(b"\x0a\x0a", b"\x0a\x00" * half)
    yield "attributes of a record", _nested(b"\x0a\x12\x12", b"\x32\x00" * half)
    yield "a resource in many parts", _nested(b"\x0a", b"\x0a\x00" * half)
    full = _nested(b"\x12", b"\x32\x00" * 500_000)  # a record just below what one may have
    yield "full records", _nested(b"\x0a\x12", full * (SIZE // len(full)))
    yield "what is not known", b"\x18\x00" * half


def line_bodies() -> Iterator[tuple[str, bytes]]:
    """Lines as people post them."""
    yield "an array", b"[%b]" % _many(b'{"message":""}')
    yield "nothing but objects", b"[%b]" % _many(b"{}")
    yield "what is not known", b'[{"message":"","more":[%b]}]' % _many(b"{}")


def _many(what: bytes) -> bytes:
    return b",".join([what] * (SIZE // (len(what) + 1)))


def _nested(tags: bytes, content: bytes) -> bytes:
    for tag in reversed(tags):
        size, length = len(content), bytearray()
        while size > 0x7F:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        content = bytes([tag, *length, size]) + content
    return content


def peak() -> int:
    """Give the most memory that this process has had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure(read: Read, body: bytes) -> int:
    """Give the memory that reading a body took, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    with contextlib.suppress(Refused):
        read(body)
    return peak() - before


def main() -> None:
    """Read each body, and print what that took."""
    forms: dict[str, tuple[Read, Iterator[tuple[str, bytes]]]] = {
        "JSON": (
            functools.partial(read_logs, content_type=JSON, now=1, most=MOST), json_bodies(),
        ),
        "protobuf": (
            functools.partial(read_logs, content_type=PROTOBUF, now=1, most=MOST),
            protobuf_bodies(),
        ),
        "lines": (
            functools.partial(read_lines, content_type=JSON, now=1, most=MOST), line_bodies(),
        ),
    }  # fmt: skip
    found = {
        f"{form}, {name}": measure(read, body) / len(body)
        for form, (read, bodies) in forms.items()
        for name, body in bodies
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
