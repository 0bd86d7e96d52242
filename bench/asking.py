"""Asks an HTTP server over many connections, with next to no CPU of its own; a process of its own.

It takes what to do as JSON on standard input, and prints what it counted.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

READ = 65_536


async def ask(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """Ask over so many connections, one request after the other on each."""
    until = time.perf_counter() + seconds
    times: list[float] = []
    failed: Counter[str] = Counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=READ * 16)
        mine = requests[number % len(requests) :: connections]  # no two change the same thing
        turn = 0
        while (began := time.perf_counter()) < until:
            writer.write(mine[turn % len(mine)])
            turn += 1
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
            if head[9:10] != b"2":
                failed[head[9:12].decode()] += 1
        writer.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    times.sort()
    return {
        "rate": len(times) / seconds,
        "p50": times[len(times) // 2] * 1000,
        "p99": times[int(len(times) * 0.99)] * 1000,
        "failed": failed,
    }


async def tails(port: int, head: bytes, count: int, seconds: float) -> dict[str, Any]:
    """Follow a log over so many streams; count the events, and how old they are."""
    got: list[int] = [0] * count
    late: list[float] = []

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=READ * 16)
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer:
            raise SystemExit(answer.decode())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while line := await reader.readline():
                    if line.startswith(b"data: "):
                        got[number] += 1
                        if number == 0:
                            sent = json.loads(line[6:])["line"]["message"].partition(" ")[0]
                            late.append(time.time() - float(sent))
        writer.close()

    await asyncio.gather(*(client(number) for number in range(count)))
    late.sort()
    return {"got": got, "p50": _at(late, 0.5), "p99": _at(late, 0.99)}


def _at(values: list[float], share: float) -> float:
    return values[int(len(values) * share)] * 1000 if values else 0.0


def main() -> None:
    """Do what is told."""
    port, asked, count, seconds = json.loads(sys.stdin.read())
    work: Callable[..., Awaitable[Any]] = ask if sys.argv[1] == "ask" else tails
    told = [one.encode() for one in asked] if isinstance(asked, list) else asked.encode()
    print(json.dumps(uvloop.run(work(port, told, count, seconds))))


if __name__ == "__main__":
    main()
