"""Variables over HTTP: of projects, groups and devices, with the same words at each level."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec

from hub import (
    Call,
    Conflict,
    NoQuery,
    NotFound,
    Reply,
    Route,
    cursor_after,
    merge_patch,
    position_of,
)
from hub.structs import decode
from services.envars import contracts as c
from services.envars.views import (
    DeviceEnvarsView,
    DeviceEnvarView,
    EnvarBody,
    EnvarsBody,
    EnvarStatusQuery,
    EnvarStatusView,
    EnvarsView,
    EnvarView,
)

AnyCall = Call[Any, NoQuery]
Handler = Callable[[Call[Any, Any]], Awaitable[Reply]]
_LEVELS: Final = ("project", "group", "device")


def _where(call: AnyCall) -> dict[str, Any]:
    """Give what the path names a level by."""
    return {name: call.path[name] for name in _LEVELS if name in call.path}


def _view(variable: c.Variable) -> EnvarView:
    return msgspec.convert(variable, EnvarView, from_attributes=True)


def _shown(level: c.Level) -> EnvarsView:
    return EnvarsView({one.name: _view(one) for one in level.variables})


def _values(body: EnvarsBody) -> dict[str, c.Value]:
    return {
        name: c.Value(one.value, one.secret, one.restart) for name, one in body.variables.items()
    }


async def _answer(call: AnyCall, level: c.Level) -> Reply:
    """Show a level; of a device, all that it gets."""
    if "device" in call.path:
        return await get_effective(call)
    return Reply(_shown(level), version=str(level.version))


async def get_effective(call: AnyCall) -> Reply:
    """Answer `GET /devices/{device}/envars`."""
    request = c.OneDevice(call.caller.account, call.path["device"])
    found = await call.bus.request(c.EFFECTIVE, request)
    variables = {
        one.name: msgspec.convert(one, DeviceEnvarView, from_attributes=True)
        for one in found.variables
    }
    view = DeviceEnvarsView(variables, found.version, found.applied, found.error)
    return Reply(view, version=str(found.own), live=True)


async def _level(call: AnyCall) -> c.Level:
    return await call.bus.request(c.GET, c.OneLevel(call.caller.account, **_where(call)))


async def get_envars(call: AnyCall) -> Reply:
    """Answer `GET …/envars`."""
    if "device" in call.path:
        return await get_effective(call)
    return await _answer(call, await _level(call))


async def put_envars(call: Call[EnvarsBody, NoQuery]) -> Reply:
    """Answer `PUT …/envars`."""
    return await _replace(call, call.body, call.versions)


async def patch_envars(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH …/envars`."""
    level = await _level(call)
    now = {
        one.name: {"value": one.value, "secret": one.secret, "restart": one.restart}
        for one in level.variables
    }
    body = decode(EnvarsBody, merge_patch({"variables": now}, call.body))
    return await _replace(call, body, call.replaces(str(level.version)))


async def _replace(call: AnyCall, body: EnvarsBody, versions: tuple[str, ...] | None) -> Reply:
    request = c.ReplaceLevel(call.caller.account, _values(body), versions=versions, **_where(call))
    return await _answer(call, await call.bus.request(c.REPLACE, request))


async def get_envar(call: AnyCall) -> Reply:
    """Answer `GET …/envars/{name}`."""
    request = c.OneVariable(call.caller.account, call.path["name"], **_where(call))
    return _one(await call.bus.request(c.GET_ONE, request))


async def put_envar(call: Call[EnvarBody, NoQuery]) -> Reply:
    """Answer `PUT …/envars/{name}`."""
    body = call.body
    request = c.PutVariable(
        call.caller.account, call.path["name"], c.Value(body.value, body.secret, body.restart),
        versions=call.versions, absent=call.if_absent, **_where(call),
    )  # fmt: skip
    return _one(await call.bus.request(c.PUT, request))


async def delete_envar(call: AnyCall) -> Reply:
    """Answer `DELETE …/envars/{name}`."""
    request = c.OneVariable(
        call.caller.account, call.path["name"], versions=call.versions, **_where(call)
    )
    await call.bus.request(c.DELETE, request)
    return Reply()


def _one(variable: c.Variable) -> Reply:
    return Reply(_view(variable), version=str(variable.version))


async def list_envar_statuses(call: Call[None, EnvarStatusQuery]) -> Reply:
    """Answer `GET /projects/{project}/envar-statuses`."""
    query = call.query
    request = c.ListStatuses(
        call.caller.account, call.path["project"], query.limit, position_of(query.cursor),
        query.pending,
    )  # fmt: skip
    page = await call.bus.request(c.STATUSES, request)
    items = [msgspec.convert(one, EnvarStatusView, from_attributes=True) for one in page.items]
    return Reply(items, next=cursor_after(page.items, more=page.more))


# ── declarations ──────────────────────────────────────────────────────────────────────────────

PROJECT: Final = "/api/v1/projects/{project}"
_PATHS: Final = {
    "project": f"{PROJECT}/envars",
    "group": f"{PROJECT}/groups/{{group}}/envars",
    "device": "/api/v1/devices/{device}/envars",
}
_REPLACES: Final = {
    "project": "What is left out is dropped; the agent's own (`ISAAX_…`) get their defaults back.",
    "group": "What is left out is dropped.",
    "device": "Replaces what is set for this very device; what its project and group have stays.",
}  # fmt: skip
_GREETING: Final = EnvarBody("Hello from ${DEVICE_LABEL}", restart=True)
_BODY: Final = EnvarsBody(
    {"GREETING": _GREETING, "API_TOKEN": EnvarBody("t0p-s3cr3t", secret=True)}
)
_PATCH: Final = {"variables": {"GREETING": {"value": "Good morning"}}}


def _named(handler: Handler, level: str) -> Handler:
    """Give a handler a name of its own at each level: operations are named by it."""

    async def named(call: Call[Any, Any]) -> Reply:
        return await handler(call)

    named.__name__ = handler.__name__.replace("_envar", f"_{level}_envar")
    return named


def _of_level(level: str) -> Iterator[Route[Any, Any]]:
    path, view = _PATHS[level], DeviceEnvarsView if level == "device" else EnvarsView
    shared: dict[str, Any] = {"tag": "envars", "errors": (NotFound,)}
    reads = {**shared, "permission": "envars:read"}
    writes = {**shared, "permission": "envars:write"}
    whose = f"a {level}'s"
    yield Route(
        method="GET", path=path, handler=_named(get_envars, level), response=view,
        summary="Read what variables a device gets" if level == "device"
        else f"Read {whose} variables",
        description="With where each is set: for the device itself, its group, or its project."
        if level == "device" else "",
        **reads,
    )  # fmt: skip
    yield Route(
        method="PUT", path=path, handler=_named(put_envars, level), body=EnvarsBody, response=view,
        summary=f"Replace {whose} variables", description=_REPLACES[level], examples=(_BODY,),
        **writes,
    )  # fmt: skip
    yield Route(
        method="PATCH", path=path, handler=_named(patch_envars, level), body=EnvarsBody,
        response=view, summary=f"Change some of {whose} variables", examples=(_PATCH,),
        description="What is left out stays; `null` in place of a variable drops it.",
        **writes,
    )  # fmt: skip
    path = f"{path}/{{name}}"
    yield Route(
        method="GET", path=path, handler=_named(get_envar, level), response=EnvarView,
        summary=f"Read one of {whose} variables", **reads,
    )  # fmt: skip
    yield Route(
        method="PUT", path=path, handler=_named(put_envar, level), body=EnvarBody,
        response=EnvarView, summary=f"Set one of {whose} variables", creates=True,
        examples=(_GREETING,), **writes,
    )  # fmt: skip
    yield Route(
        method="DELETE", path=path, handler=_named(delete_envar, level), status=204,
        summary=f"Drop one of {whose} variables", permission="envars:write", tag="envars",
        errors=(NotFound, Conflict),
        description="The agent's own (`ISAAX_…`) stay." if level == "project" else "",
    )  # fmt: skip


def routes() -> list[Route[Any, Any]]:
    """Give the routes of variables."""
    return [
        *(route for level in _PATHS for route in _of_level(level)),
        Route(
            method="GET", path=f"{PROJECT}/envar-statuses", tag="envars",
            summary="List how far devices are with their variables", handler=list_envar_statuses,
            permission="envars:read", query=EnvarStatusQuery, response=list[EnvarStatusView],
            errors=(NotFound,),
            description="A device is sent what it is to have as soon as it changes or comes back, "
            "and says which version it uses.",
        ),
    ]  # fmt: skip
