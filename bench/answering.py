"""An HTTP server that takes everything and answers as each vendor does, in its own process.

It shares the cores with what is measured, so it does nothing with a body but read it; only when
it is given a mark it counts that, as lines, and reports every 100 ms as `receiver.py` does.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from typing import cast

import uvloop

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_JSON = b"application/json"


def _bulk(lines: int) -> tuple[int, bytes, bytes]:
    items = b",".join([b'{"create":{"status":201}}'] * lines)
    return 200, _JSON, b'{"errors":false,"items":[%b]}' % items


def _answers(lines: int) -> dict[str, tuple[int, bytes, bytes]]:
    """Give status, type and body for each beginning of a path; `lines` are in each request."""
    return {
        "/loki/": (204, b"", b""),
        "/_bulk": _bulk(lines),
        "/services/collector": (200, _JSON, b'{"text":"Success","code":0}'),
        "/inputs/": (200, _JSON, b'{"response":"ok"}'),
        "/bulk/": (200, _JSON, b'{"response":"ok"}'),
        "/v1/logs": (200, b"application/x-protobuf", b""),
        "/gelf": (202, b"", b""),
        "/api/v2": (202, _JSON, b"{}"),
        "": (202, b"", b""),
    }


class Answering(asyncio.Protocol):
    """One connection: reads requests with a stated length, and answers each."""

    def __init__(self, answer: Callable[[str], bytes], count: Callable[[bytes], None]) -> None:
        self._answer = answer
        self._count = count
        self._head = b""
        self._left = 0
        self._path = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Read on, and answer what is complete."""
        while data:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                self._count(data[:taken])
                data = data[taken:]
            else:
                head, end, data = (self._head + data).partition(b"\r\n\r\n")
                if not end:
                    self._head = head
                    return
                self._head = b""
                found = _LENGTH.search(head)
                assert found is not None, head
                self._left, self._path = int(found[1]), head.split(b" ", 2)[1].decode()
            if not self._left:
                self._transport.write(self._answer(self._path))


class Marks:
    """Counts a mark in what one connection receives; one that is cut in two counts as well."""

    def __init__(self, mark: bytes, total: list[int]) -> None:
        self._mark = mark
        self._total = total
        self._tail = b""

    def __call__(self, data: bytes) -> None:
        """Count."""
        if self._mark:
            text = self._tail + data
            self._total[0] += text.count(self._mark)
            self._tail = text[max(0, len(text) - len(self._mark) + 1) :]


async def main(lines: str, mark: str = "") -> None:
    """Listen, print the port, and answer until killed."""
    known, total = _answers(int(lines)), [0]

    def answer(path: str) -> bytes:
        status, kind, body = next(known[start] for start in known if path.startswith(start))
        return b"HTTP/1.1 %d x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            status, kind or b"text/plain", len(body), body,
        )  # fmt: skip

    server = await asyncio.get_running_loop().create_server(
        lambda: Answering(answer, Marks(mark.encode(), total)), "127.0.0.1", 0
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    while True:
        await asyncio.sleep(0.1)
        if mark:
            print(json.dumps({"lines": total[0], "latencies": []}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
