"""Integrations, their types, and the log over HTTP."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec

from hub import (
    Call,
    EventStream,
    Invalid,
    NoQuery,
    NotFound,
    Nothing,
    PageQuery,
    Reply,
    Route,
    ServerEvent,
    cursor_after,
    merge_patch,
    position_of,
)
from hub.protocol import STREAMS
from hub.relay import contracts as relay
from hub.structs import decode
from services.messages import contracts as c
from services.messages import peers

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Config = Annotated[
    dict[str, Any],
    msgspec.Meta(description="As `config_schema` of its integration type says."),
]


class IntegrationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new integration."""

    type: str
    name: Name
    config: Config
    enabled: bool = True


class IntegrationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed; where `config` itself changes, its secrets are to be given again."""

    name: Name
    config: Config
    enabled: bool = True


class IntegrationView(msgspec.Struct, frozen=True):
    """An integration as the API shows it: secrets masked, and how it fares."""

    id: str
    project: str
    type: str
    name: str
    enabled: bool
    config: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    status: relay.IntegrationStatus | None = None


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of one device or stream; `cursor` (from `Link: rel="next"`) goes back in time."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: str = ""
    device: str = ""
    stream: str = ""

    def __post_init__(self) -> None:
        if self.stream and self.stream not in STREAMS:
            raise ValueError(f"stream is one of: {', '.join(STREAMS)}")


def _view(item: c.Integration) -> IntegrationView:
    return msgspec.convert(item, IntegrationView, from_attributes=True)


def _reply(item: c.Integration, location: str | None = None) -> Reply:
    return Reply(_view(item), location=location, version=str(item.revision))


async def list_types(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /integration-types`."""
    return Reply((await call.bus.request(c.TYPES, Nothing())).items)


async def get_type(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /integration-types/{type}`."""
    for item in (await call.bus.request(c.TYPES, Nothing())).items:
        if item.name == call.path["type"]:
            return Reply(item)
    raise NotFound("no such integration type")


async def list_integrations(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/integrations`."""
    request = c.ListIntegrations(
        call.caller.account,
        call.path["project"],
        call.query.limit,
        position_of(call.query.cursor),
    )
    page = await call.bus.request(c.LIST, request)
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item) for item in page.items], next=following)


async def create_integration(call: Call[IntegrationBody, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/integrations`."""
    body = call.body
    made = await call.bus.request(
        c.CREATE,
        c.CreateIntegration(
            call.caller.account, call.path["project"],
            body.type, body.name, body.enabled, body.config,
        ),
    )  # fmt: skip
    return _reply(made, f"/api/v1/integrations/{made.id}")


async def get_integration(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /integrations/{integration}`."""
    return _reply(await _get(call))


async def put_integration(call: Call[IntegrationChange, NoQuery]) -> Reply:
    """Answer `PUT /integrations/{integration}`."""
    return await _change(call, call.body, call.versions)


async def patch_integration(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /integrations/{integration}`."""
    current = await _get(call)
    now = {"name": current.name, "enabled": current.enabled, "config": current.config}
    change = decode(IntegrationChange, merge_patch(now, call.body))
    return await _change(call, change, call.replaces(str(current.revision)))


async def delete_integration(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /integrations/{integration}`."""
    request = c.DeleteIntegration(call.caller.account, call.path["integration"], call.versions)
    await call.bus.request(c.DELETE, request)
    return Reply()


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
        yield ServerEvent(item, id=item.position, event="line")


async def _get(call: Call[Any, NoQuery]) -> c.Integration:
    request = c.OneIntegration(call.caller.account, call.path["integration"])
    return await call.bus.request(c.GET, request)


async def _change(
    call: Call[Any, NoQuery], change: IntegrationChange, versions: tuple[str, ...] | None
) -> Reply:
    request = c.ChangeIntegration(
        call.caller.account, call.path["integration"],
        change.name, change.enabled, change.config, versions,
    )  # fmt: skip
    return _reply(await call.bus.request(c.CHANGE, request))


TYPES = "/api/v1/integration-types"
OF_PROJECT = "/api/v1/projects/{project}/integrations"
INTEGRATION = "/api/v1/integrations/{integration}"
_EXAMPLE = IntegrationBody(
    "papertrail", "papertrail", {"mode": "classic", "host": "logs1.papertrailapp.com", "port": 514}
)


def routes() -> list[Route[Any, Any]]:
    """Give the routes of integrations and logs."""
    return [
        Route(
            method="GET", path=TYPES, summary="List the kinds of integration",
            tag="integrations", handler=list_types, scope="integrations:read",
            response=list[c.IntegrationType],
        ),
        Route(
            method="GET", path=f"{TYPES}/{{type}}", summary="Read a kind of integration",
            tag="integrations", handler=get_type, scope="integrations:read",
            response=c.IntegrationType, errors=(NotFound,),
        ),
        Route(
            method="GET", path=OF_PROJECT, summary="List a project's integrations",
            tag="integrations", handler=list_integrations, scope="integrations:read",
            query=PageQuery, response=list[IntegrationView], errors=(NotFound,),
        ),
        Route(
            method="POST", path=OF_PROJECT, summary="Configure an integration",
            tag="integrations", handler=create_integration, scope="integrations:write",
            body=IntegrationBody, response=IntegrationView, status=201,
            errors=(NotFound, Invalid), examples=(_EXAMPLE,),
            description="Every line that is taken from now on goes there.",
        ),
        Route(
            method="GET", path=INTEGRATION, summary="Read an integration, and how it fares",
            tag="integrations", handler=get_integration, scope="integrations:read",
            response=IntegrationView, errors=(NotFound,),
        ),
        Route(
            method="PUT", path=INTEGRATION, summary="Replace an integration",
            tag="integrations", handler=put_integration, scope="integrations:write",
            body=IntegrationChange, response=IntegrationView, errors=(NotFound, Invalid),
            description="It goes on where it was: nothing is lost or sent again.",
        ),
        Route(
            method="PATCH", path=INTEGRATION, summary="Change an integration",
            tag="integrations", handler=patch_integration, scope="integrations:write",
            body=IntegrationChange, response=IntegrationView, errors=(NotFound, Invalid),
            examples=({"enabled": False},),
        ),
        Route(
            method="DELETE", path=INTEGRATION, summary="Delete an integration",
            tag="integrations", handler=delete_integration, scope="integrations:write",
            status=204, errors=(NotFound,),
        ),
        Route(
            method="GET", path="/api/v1/projects/{project}/logs", tag="logs",
            summary="Read a project's log, or follow it", handler=read_logs,
            scope="logs:read", query=LogQuery, response=list[relay.LogLine],
            stream=relay.TailLine, errors=(NotFound,),
            description="The newest lines, oldest first; `Link: rel=\"next\"` leads to older "
            "ones. With `Accept: text/event-stream` it follows the log live, and goes on after "
            "`Last-Event-ID` when the client reconnects.",
        ),
    ]  # fmt: skip
