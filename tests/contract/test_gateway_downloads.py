"""Files as answers: whole or seen to be none, sent as they come, closed whatever happens."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from hub import hookimpl
from hub.errors import NotFound
from hub.routes import Call, Download, NoQuery, Route
from hub.testing import eventually
from tests.fixtures.gateway import PATIENCE, RunSite, Site

CHUNK = b"x" * 65_536
NAME = 'größe "2026".zip\r\nX: y'


@dataclass
class Archive:
    """A plugin that gives files, each by the way in which it ends."""

    opened: int = 0
    closed: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, call: Call[None, NoQuery]) -> Download:
        if call.path["file"] == "none":
            raise NotFound("no such file")
        return Download("application/zip", NAME, self._chunks(call.path["file"]))

    async def _chunks(self, kind: str) -> AsyncGenerator[bytes, None]:
        self.opened += 1
        try:
            if kind == "unread":
                raise NotFound("it is gone")
            if kind == "empty":
                return
            yield b"PK"
            self.begun.set()
            if kind == "broken":
                raise RuntimeError("by mistake")
            if kind == "slow":
                await self.more.wait()
            for _ in range(4 if kind != "endless" else 1_000_000):
                yield CHUNK
        finally:
            self.closed += 1

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        return [
            Route(
                method="GET", path="/files/{file}", summary="A file", tag="files",
                handler=self.get, permission=None, download="application/zip", errors=(NotFound,),
            )
        ]  # fmt: skip


@dataclass
class Shelf:
    """A site with files."""

    site: Site
    archive: Archive

    def get(self, kind: str, method: str = "GET") -> Any:
        return self.site.http.request(method, f"{self.site.url}/files/{kind}")


@pytest.fixture
async def shelf(run_site: RunSite) -> AsyncIterator[Shelf]:
    archive = Archive()
    async with run_site(archive=archive) as site:
        yield Shelf(site, archive)
    assert archive.opened == archive.closed, "no file stays open"


async def test_a_file_arrives_whole_under_its_name(shelf: Shelf) -> None:
    """Of which nothing can break out of its header; and it is kept nowhere on the way."""
    async with shelf.get("whole") as answer:
        assert await answer.read() == b"PK" + CHUNK * 4
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%222026%22.zip%0D%0AX%3A%20y"
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "X" not in answer.headers


async def test_an_empty_file_is_a_file(shelf: Shelf) -> None:
    async with shelf.get("empty") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_head_tells_of_it_and_sends_nothing(shelf: Shelf) -> None:
    async with shelf.get("whole", "HEAD") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert "attachment" in answer.headers["Content-Disposition"]
    await eventually(lambda: shelf.archive.closed == 1, "the file is closed")


@pytest.mark.parametrize("kind", ["none", "unread"])
async def test_a_file_of_which_nothing_can_be_read_is_a_problem(shelf: Shelf, kind: str) -> None:
    async with shelf.get(kind) as answer:
        body = await answer.json(content_type=None)
    assert (answer.status, body["type"]) == (404, "/problems/not-found")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Content-Disposition" not in answer.headers


async def test_a_file_that_breaks_off_is_not_taken_for_whole(shelf: Shelf) -> None:
    """It has no end by HTTP either; why, the log says and the client does not hear."""
    with capture_logs() as logs:
        async with shelf.get("broken") as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
    assert [log["event"] for log in logs if log.get("exc_info")] == ["a file broke off"]


async def test_a_client_that_leaves_ends_the_reading(shelf: Shelf) -> None:
    async with shelf.get("endless") as answer:
        await answer.content.readexactly(100_000)
        answer.close()
    await eventually(lambda: shelf.archive.closed == 1, "the file is closed")


async def test_a_file_on_its_way_arrives_though_the_gateway_closes(run_site: RunSite) -> None:
    """Nobody new is let in meanwhile."""
    archive = Archive()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as http:
        async with run_site(archive=archive) as site:
            answer = await http.get(f"{site.url}/files/slow")
            async with asyncio.timeout(PATIENCE):
                await archive.begun.wait()

            async def once_closed() -> None:
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
                    except ConnectionRefusedError:
                        archive.more.set()
                        return
                    writer.close()
                    await asyncio.sleep(0.005)

            closing = asyncio.create_task(once_closed())
        await closing
        assert await answer.read() == b"PK" + CHUNK * 4
    assert (archive.opened, archive.closed) == (1, 1)


async def test_the_description_names_its_type(shelf: Shelf) -> None:
    async with shelf.site.http.get(f"{shelf.site.url}/openapi.json") as answer:
        document = await answer.json()
    content = document["paths"]["/files/{file}"]["get"]["responses"]["200"]["content"]
    assert content == {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
