"""The log of a project over HTTP: page by page, and live."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec

from hub import Call, Cursor, EventStream, NotFound, Reply, Route, ServerEvent
from hub.protocol import STREAMS
from hub.relay import contracts as relay
from services.messages import peers
from services.messages.views import PROJECT


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of one device or stream; `cursor` (from `Link: rel="next"`) goes back in time."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="Lines of a page at most.")] = 100
    cursor: Cursor = ""
    device: Annotated[str, msgspec.Meta(description="Id of the only device to be shown.")] = ""
    stream: Annotated[str, msgspec.Meta(description="`app`, `sys` or `agent`.")] = ""

    def __post_init__(self) -> None:
        if self.stream and self.stream not in STREAMS:
            raise ValueError(f"stream is one of: {', '.join(STREAMS)}")


class TailLine(msgspec.Struct, frozen=True):
    """One line of a tail; `position` resumes after it; `missed` lines were skipped before it."""

    position: str
    line: relay.LogLine
    missed: int = 0


async def read_logs(call: Call[None, LogQuery]) -> Reply | EventStream:
    """Answer `GET /projects/{project}/logs`: a page of lines, or a live stream of them."""
    project, query = call.path["project"], call.query
    await call.bus.request(peers.GET_PROJECT, peers.GetProject(call.caller.account, project))
    if call.wants_stream:
        wanted = relay.TailLogs(project, call.last_event_id, query.device, query.stream)
        return EventStream(_tail(call, wanted))
    page = await call.bus.request(
        relay.READ_LOGS,
        relay.ReadLogs(project, query.limit, query.cursor, query.device, query.stream),
    )
    return Reply(page.lines, next=page.before or None)


async def _tail(call: Call[None, LogQuery], wanted: relay.TailLogs) -> AsyncIterator[ServerEvent]:
    async for item in call.bus.stream(relay.TAIL_LOGS, wanted):
        if item.line is None:  # so that whoever is cut off before the first line misses none
            yield ServerEvent(None, id=item.position)
            continue
        line = TailLine(item.position, item.line, item.missed)
        yield ServerEvent(line, id=item.position, event="line")


def routes() -> list[Route[Any, Any]]:
    """Give the routes of the log."""
    return [
        Route(
            method="GET", path=f"{PROJECT}/logs", tag="logs",
            summary="Read a project's log, or follow it", handler=read_logs,
            permission="logs:read", query=LogQuery, response=list[relay.LogLine],
            stream=TailLine, errors=(NotFound,),
            description="The newest lines, oldest first; `Link: rel=\"next\"` leads to older "
            "ones. With `Accept: text/event-stream` it follows the log live, and goes on after "
            "`Last-Event-ID` when the client reconnects.",
        ),
    ]  # fmt: skip
