"""Integrations and their types over HTTP."""

from typing import Annotated, Any

import msgspec

from hub import (
    Call,
    Invalid,
    NotFound,
    Nothing,
    PageQuery,
    Reply,
    Route,
    Shape,
    cursor_after,
    cursor_of,
    merge_patch,
    position_of,
)
from hub.structs import decode, json_values
from services.messages import contracts as c
from services.messages import dead_letters, health, logs, operations
from services.messages.views import (
    INTEGRATION,
    OF_PROJECT,
    IntegrationView,
    NoBody,
    find,
    reply,
    view,
)

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Config = Annotated[
    dict[str, Any],
    msgspec.Meta(description="As `config_schema` of its integration type says."),
]
Enabled = Annotated[
    bool, msgspec.Meta(description="false pauses it: lines wait for it, as long as they are kept.")
]


class IntegrationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new integration."""

    type: str
    name: Name
    config: Config
    enabled: Enabled = True
    shape: Shape = Shape()


class IntegrationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed; where `config` itself changes, its secrets are to be given again."""

    name: Name
    config: Config
    enabled: Enabled = True
    shape: Shape = Shape()


async def list_integration_types(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /integration-types`."""
    items = (await call.bus.request(c.TYPES, Nothing())).items
    start, end = position_of(call.query.cursor), call.query.limit
    rest = items[start:]
    return Reply(rest[:end], next=cursor_of(start + end) if len(rest) > end else None)


async def get_integration_type(call: NoBody) -> Reply:
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
    return Reply([view(item) for item in page.items], next=following)


async def create_integration(call: Call[IntegrationBody, Any]) -> Reply:
    """Answer `POST /projects/{project}/integrations`."""
    body = call.body
    made = await call.bus.request(
        c.CREATE,
        c.CreateIntegration(
            call.caller.account, call.path["project"],
            body.type, body.name, body.enabled, body.config, body.shape,
        ),
    )  # fmt: skip
    return reply(made, f"/api/v1/integrations/{made.id}")


async def get_integration(call: NoBody) -> Reply:
    """Answer `GET /integrations/{integration}`."""
    return reply(await find(call))


async def put_integration(call: Call[IntegrationChange, Any]) -> Reply:
    """Answer `PUT /integrations/{integration}`."""
    return await _change(call, call.body, call.versions)


async def patch_integration(call: Call[dict[str, Any], Any]) -> Reply:
    """Answer `PATCH /integrations/{integration}`."""
    current = await find(call)
    now = {
        "name": current.name,
        "enabled": current.enabled,
        "config": current.config,
        "shape": json_values(current.shape),
    }
    change = decode(IntegrationChange, merge_patch(now, call.body))
    return await _change(call, change, call.replaces(str(current.revision)))


async def delete_integration(call: NoBody) -> Reply:
    """Answer `DELETE /integrations/{integration}`."""
    request = c.DeleteIntegration(call.caller.account, call.path["integration"], call.versions)
    await call.bus.request(c.DELETE, request)
    return Reply()


async def _change(
    call: Call[Any, Any], change: IntegrationChange, versions: tuple[str, ...] | None
) -> Reply:
    request = c.ChangeIntegration(
        call.caller.account, call.path["integration"],
        change.name, change.enabled, change.config, change.shape, versions,
    )  # fmt: skip
    return reply(await call.bus.request(c.CHANGE, request))


TYPES = "/api/v1/integration-types"
_EXAMPLE = IntegrationBody(
    "papertrail", "papertrail", {"mode": "classic", "host": "logs1.papertrailapp.com", "port": 514}
)
_SHAPED = {
    "shape": {
        "filter": {"include": [{"severity": "warning"}], "exclude": [{"programs": ["cron"]}]},
        "redact": {"tokens": True, "emails": True},
    }
}


def routes() -> list[Route[Any, Any]]:
    """Give all routes of the service."""
    return [
        Route(
            method="GET", path=TYPES, summary="List the kinds of integration",
            tag="integrations", handler=list_integration_types, permission="integrations:read",
            query=PageQuery, response=list[c.IntegrationType],
        ),
        Route(
            method="GET", path=f"{TYPES}/{{type}}", summary="Read a kind of integration",
            tag="integrations", handler=get_integration_type, permission="integrations:read",
            response=c.IntegrationType, errors=(NotFound,),
        ),
        Route(
            method="GET", path=OF_PROJECT, summary="List a project's integrations",
            tag="integrations", handler=list_integrations, permission="integrations:read",
            query=PageQuery, response=list[IntegrationView], errors=(NotFound,),
        ),
        Route(
            method="POST", path=OF_PROJECT, summary="Configure an integration",
            tag="integrations", handler=create_integration, permission="integrations:write",
            body=IntegrationBody, response=IntegrationView, status=201,
            errors=(NotFound, Invalid), examples=(_EXAMPLE,),
            description="Every line that is taken from now on, and that its shape lets through, "
            "goes there.",
        ),
        Route(
            method="GET", path=INTEGRATION, summary="Read an integration, and how it fares",
            tag="integrations", handler=get_integration, permission="integrations:read",
            response=IntegrationView, errors=(NotFound,),
        ),
        Route(
            method="PUT", path=INTEGRATION, summary="Replace an integration",
            tag="integrations", handler=put_integration, permission="integrations:write",
            body=IntegrationChange, response=IntegrationView, errors=(NotFound, Invalid),
            examples=(IntegrationChange(_EXAMPLE.name, _EXAMPLE.config),),
            description="It goes on where it was: nothing is lost or sent again.",
        ),
        Route(
            method="PATCH", path=INTEGRATION, summary="Change an integration",
            tag="integrations", handler=patch_integration, permission="integrations:write",
            body=IntegrationChange, response=IntegrationView, errors=(NotFound, Invalid),
            examples=({"enabled": False}, _SHAPED),
        ),
        Route(
            method="DELETE", path=INTEGRATION, tag="integrations",
            summary="Delete an integration and its dead letters", handler=delete_integration,
            permission="integrations:write", status=204, errors=(NotFound,),
        ),
        *operations.routes(),
        *dead_letters.routes(),
        *health.routes(),
        *logs.routes(),
    ]  # fmt: skip
