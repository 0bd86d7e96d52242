"""Commands over HTTP."""

from typing import Any, Final

import msgspec

from hub import (
    Call,
    FieldError,
    Invalid,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    cursor_after,
    cursor_of,
    position_of,
)
from services.commands import contracts as c
from services.commands.views import (
    CommandAction,
    CommandBody,
    CommandResultView,
    CommandView,
    DeviceCommandBody,
    DeviceCommandView,
    ResultQuery,
    action_of,
    shown,
    shown_of_device,
    timeout_of,
)

COMMANDS: Final = "/api/v1/projects/{project}/commands"
COMMAND: Final = f"{COMMANDS}/{{command}}"
OF_DEVICE: Final = "/api/v1/devices/{device}/commands"
_ONCE: Final = (
    "Once on each device that is meant now. Who is away does it when it comes back, if that is in "
    "time. Sent again by the hub until it is answered, it is not done again."
)


def _one(call: Call[Any, Any]) -> c.OneCommand:
    return c.OneCommand(call.caller.account, call.path["project"], call.path["command"])


async def send_command(call: Call[CommandBody, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/commands`."""
    body = call.body
    if sum((body.device is not None, body.group is not None, body.all)) != 1:
        wrong = FieldError("", 'say where: name a device or a group, or say `"all": true`')
        raise Invalid(wrong.detail, errors=[wrong])
    request = c.SendCommand(
        call.caller.account, call.path["project"], action_of(body.action),
        timeout_of(body.timeout, body.action), body.wait, body.device or "", body.group or "",
    )  # fmt: skip
    return _made(await call.bus.request(c.SEND, request))


async def send_device_command(call: Call[DeviceCommandBody, NoQuery]) -> Reply:
    """Answer `POST /devices/{device}/commands`."""
    body = call.body
    request = c.SendCommand(
        call.caller.account, "", action_of(body.action), timeout_of(body.timeout, body.action),
        body.wait, call.path["device"],
    )  # fmt: skip
    return _made(await call.bus.request(c.SEND, request))


def _made(command: c.Command) -> Reply:
    location = COMMAND.format(project=command.project, command=command.id)
    return Reply(shown(command), location=location)


async def list_commands(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/commands`."""
    request = c.ListCommands(
        call.caller.account, call.path["project"], call.query.limit,
        position_of(call.query.cursor),
    )  # fmt: skip
    page = await call.bus.request(c.LIST, request)
    following = cursor_of(page.items[-1].number) if page.more else None
    return Reply([shown(one) for one in page.items], next=following)


async def get_command(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/commands/{command}`."""
    return Reply(shown(await call.bus.request(c.GET, _one(call))))


async def cancel_command(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /projects/{project}/commands/{command}`."""
    return Reply(shown(await call.bus.request(c.CANCEL, _one(call))))


async def list_command_results(call: Call[None, ResultQuery]) -> Reply:
    """Answer `GET /projects/{project}/commands/{command}/results`."""
    one, query = _one(call), call.query
    request = c.ListResults(
        one.account, one.project, one.command, query.limit, position_of(query.cursor),
        query.status or "",
    )  # fmt: skip
    page = await call.bus.request(c.RESULTS, request)
    items = [msgspec.convert(item, CommandResultView, from_attributes=True) for item in page.items]
    return Reply(items, next=cursor_after(page.items, more=page.more))


async def list_device_commands(call: Call[None, ResultQuery]) -> Reply:
    """Answer `GET /devices/{device}/commands`."""
    query = call.query
    request = c.ListOfDevice(
        call.caller.account, call.path["device"], query.limit, position_of(query.cursor),
        query.status or "",
    )  # fmt: skip
    page = await call.bus.request(c.OF_DEVICE, request)
    following = cursor_of(page.items[-1].number) if page.more else None
    return Reply([shown_of_device(one) for one in page.items], next=following)


def routes() -> list[Route[Any, Any]]:
    """Give the routes of commands."""
    return [
        Route(
            method="GET", path=COMMANDS, summary="List commands", tag="commands",
            handler=list_commands, permission="commands:read", query=PageQuery,
            response=list[CommandView], errors=(NotFound,), description="The newest first.",
        ),
        Route(
            method="POST", path=COMMANDS, summary="Send a command to devices", tag="commands",
            handler=send_command, permission="commands:write", body=CommandBody,
            response=CommandView, status=201, errors=(NotFound,),
            examples=(
                CommandBody(CommandAction("script", "uname -a; df -h /"), timeout=30.0, all=True),
                CommandBody(CommandAction("restart"), all=True),
            ),
            description=_ONCE,
        ),
        Route(
            method="GET", path=COMMAND, summary="Read a command", tag="commands",
            handler=get_command, permission="commands:read", response=CommandView,
            errors=(NotFound,),
        ),
        Route(
            method="DELETE", path=COMMAND, summary="Cancel a command", tag="commands",
            handler=cancel_command, permission="commands:write", response=CommandView,
            errors=(NotFound,), versioned=False,
            description="Where it has not begun it is `cancelled`; where it has, it goes on. A "
            "device that had begun already, and has not been heard of yet, still says so.",
        ),
        Route(
            method="GET", path=f"{COMMAND}/results", tag="commands",
            summary="List what became of a command on each device", handler=list_command_results,
            permission="commands:read", query=ResultQuery, response=list[CommandResultView],
            errors=(NotFound,),
        ),
        Route(
            method="GET", path=OF_DEVICE, summary="List a device's commands", tag="commands",
            handler=list_device_commands, permission="commands:read", query=ResultQuery,
            response=list[DeviceCommandView], errors=(NotFound,),
            description="The newest first, each with what became of it; for 30 days.",
        ),
        Route(
            method="POST", path=OF_DEVICE, summary="Send a command to a device", tag="commands",
            handler=send_device_command, permission="commands:write", body=DeviceCommandBody,
            response=CommandView, status=201, errors=(NotFound,),
            examples=(
                DeviceCommandBody(CommandAction("restart"), wait=600.0),
                DeviceCommandBody(CommandAction("reboot")),
                DeviceCommandBody(
                    CommandAction("custom", name="flush-cache", arguments={"level": "2"})
                ),
            ),
            description=_ONCE,
        ),
    ]  # fmt: skip
