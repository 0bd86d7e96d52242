"""Devices over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from hub import (
    Call,
    IfMatch,
    ItemProblem,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    cursor_after,
    merge_patch,
    position_of,
    versions_of,
)
from hub.structs import decode
from services.devices import contracts as c
from services.devices import peers

Label = Annotated[
    str, msgspec.Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)", description="Host name")
]


Group = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$(?!\n)",
        description="What an integration's filter may ask for",
    ),
]


Tag = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/=-]{0,62}$(?!\n)",
        description="Whatever one sorts devices by, such as `site:osaka`",
    ),
]
Tags = Annotated[list[Tag], msgspec.Meta(max_length=c.MOST_TAGS)]


class DeviceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of a device."""

    label: Label
    group: Group = "default"
    tags: Tags = []


Status = Literal["waiting", "pending", "active", "revoked", "quarantined"]


AppState = Literal["starting", "running", "stopping", "stopped", "waiting", "ended", "failed"]


class ProgramView(msgspec.Struct, frozen=True):
    """One program of a device's app.

    Args:
        state: one of those of `app`, or another that a newer agent knows.
        since: when that began.
        restarts: starts that followed an end which nobody asked for, since the agent began.
        exit: how it ended last: exit status, or a negative signal; null when it never did, or
            could not be started.
        error: what was wrong then, in words.
        unlimited: limits that it is to have are not enforced: the agent's log says why.
    """

    name: str
    state: str
    since: datetime
    restarts: int
    exit: int | None
    error: str
    unlimited: bool


class AppView(msgspec.Struct, frozen=True):
    """How a device's app fares, as the device said last.

    Args:
        state: that of the program which one would look at first; "" when there is none.
        revision: of the app, as its developers call it; "" when it has none.
        reported_at: when the device said so.
    """

    state: str
    revision: str
    programs: list[ProgramView]
    reported_at: datetime


class DeviceView(msgspec.Struct, frozen=True):
    """A device as the API shows it.

    Args:
        label: its host name in logs; "" stands for the id.
        group: what an integration's filter, or a release, may ask for.
        tags: whatever it is sorted by, in the order of the alphabet.
        addresses: IP addresses that it told when its last session was opened.
        status: `waiting` until somebody approves it, `pending` until its first session;
            `quarantined` when a copy of it was seen.
        online: it has a session now.
        agent, system: the versions that it told last.
        last_seen_at: when its last session was opened, or ended; null before the first.
        app: null before the device has told of it.
    """

    id: str
    project: str
    label: str
    group: str
    tags: list[str]
    addresses: list[str]
    status: Status
    online: bool
    agent: str
    system: str
    registered_at: datetime
    last_seen_at: datetime | None
    app: AppView | None


class DeviceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one device becomes; what is left out, or null, stays as it is."""

    device: str
    label: Label | None = None
    group: Group | None = None
    add_tags: Tags = []
    remove_tags: Tags = []
    if_match: IfMatch = None


class DeviceChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of many devices."""

    changes: Annotated[list[DeviceChange], msgspec.Meta(min_length=1, max_length=500)]


class ChangedDevice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one device.

    Args:
        status: that a request for this device alone would have had.
        etag: that the device has now.
        problem: why it was not changed.
    """

    device: str
    status: int
    etag: str | None = None
    problem: ItemProblem | None = None


class DeviceQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """A page of devices, narrowed by what is given."""

    online: Annotated[bool, msgspec.Meta(description="Only those that are, or are not.")] | None = (
        None
    )
    label: Annotated[str, msgspec.Meta(description="Only those of this label.")] = ""
    group: Annotated[str, msgspec.Meta(description="Only those of this group.")] = ""
    status: Annotated[Status, msgspec.Meta(description="Only those that are so.")] | None = None
    tags: Annotated[
        str,
        msgspec.Meta(description="Only those that have all of these tags; with commas between."),
    ] = ""
    app: Annotated[AppState, msgspec.Meta(description="Only those whose app fares so.")] | None = (
        None
    )
    revision: Annotated[
        str, msgspec.Meta(max_length=100, description="Only those with this revision of the app.")
    ] = ""
    q: Annotated[
        str,
        msgspec.Meta(
            max_length=100,
            description="Only those with this text in their id, label, group, tags, addresses, "
            "agent, system or revision, whether its letters are large or small.",
        ),
    ] = ""


class DeviceApprovals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices to be let in."""

    devices: Annotated[list[str], msgspec.Meta(min_length=1, max_length=500)]


class ApprovedDevice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one device.

    Args:
        status: 200, or that of the problem.
        problem: why it was not approved.
    """

    device: str
    status: int
    problem: ItemProblem | None = None


def _view(device: c.Device) -> DeviceView:
    shown = msgspec.structs.asdict(device) | {"app": _app(device)}
    return msgspec.convert(shown, DeviceView, from_attributes=True)


def _app(device: c.Device) -> AppView | None:
    if device.app_reported_at is None:
        return None
    programs = msgspec.convert(device.app_programs, list[ProgramView], from_attributes=True)
    return AppView(device.app_state, device.app_revision, programs, device.app_reported_at)


def _reply(device: c.Device) -> Reply:
    return Reply(_view(device), version=str(device.version))


async def list_devices(call: Call[None, DeviceQuery]) -> Reply:
    """Answer `GET /projects/{project}/devices`."""
    request = c.ListDevices(
        call.caller.account,
        call.path["project"],
        call.query.limit,
        position_of(call.query.cursor),
        call.query.online,
        call.query.label,
        call.query.group,
        call.query.status or "",
        [tag for tag in call.query.tags.split(",") if tag],
        call.query.q,
        call.query.app or "",
        call.query.revision,
    )
    page = await call.bus.request(c.LIST, request)
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(device) for device in page.items], next=following)


async def get_device(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /devices/{device}`."""
    request = c.OneDevice(call.caller.account, call.path["device"])
    return _reply(await call.bus.request(c.GET, request))


async def patch_device(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /devices/{device}`."""
    account, device = call.caller.account, call.path["device"]
    current = await call.bus.request(c.GET, c.OneDevice(account, device))
    now = {"label": current.label, "group": current.group, "tags": current.tags}
    body = decode(DeviceBody, merge_patch(now, call.body))
    request = c.ChangeDevice(
        account, device, body.label, body.group, sorted({*body.tags}),
        call.replaces(str(current.version)),
    )  # fmt: skip
    return _reply(await call.bus.request(c.CHANGE, request))


def _one_change(one: DeviceChange) -> c.OneChange:
    versions = versions_of(one.if_match)
    return c.OneChange(one.device, one.label, one.group, one.add_tags, one.remove_tags, versions)


async def change_devices(call: Call[DeviceChanges, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/device-changes`."""
    changes = [_one_change(one) for one in call.body.changes]
    request = c.ChangeDevices(call.caller.account, call.path["project"], changes)
    done = await call.bus.request(c.CHANGE_MANY, request)
    return Reply(
        [
            ChangedDevice(change.device, outcome.status, outcome.etag, outcome.problem)
            for change, outcome in zip(changes, done.outcomes, strict=True)
        ]
    )


async def approve_devices(call: Call[DeviceApprovals, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/device-approvals`."""
    account, project = call.caller.account, call.path["project"]
    await call.bus.request(peers.GET_PROJECT, peers.GetProject(account, project))
    devices = call.body.devices
    request = peers.ApproveDevices(account, project, devices)
    done = await call.bus.request(peers.APPROVE, request)
    return Reply(
        [
            ApprovedDevice(device, outcome.status, outcome.problem)
            for device, outcome in zip(devices, done.outcomes, strict=True)
        ]
    )


async def delete_device(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /devices/{device}`."""
    request = c.DeleteDevice(call.caller.account, call.path["device"], call.versions)
    await call.bus.request(c.DELETE, request)
    return Reply()


DEVICE = "/api/v1/devices/{device}"
_CHANGES = DeviceChanges(
    [
        DeviceChange("dev_2f5c9d1a7b3e8046", group="canary"),
        DeviceChange(
            "dev_8b1d4e6f0a2c7395", label="greenhouse-2", add_tags=["site:osaka"], if_match='"3"'
        ),
    ]
)


def routes() -> list[Route[Any, Any]]:
    """Give the routes of devices."""
    return [
        Route(
            method="GET", path="/api/v1/projects/{project}/devices", tag="devices",
            summary="List a project's devices", handler=list_devices, permission="devices:read",
            query=DeviceQuery, response=list[DeviceView], errors=(NotFound,),
        ),
        Route(
            method="POST", path="/api/v1/projects/{project}/device-changes", tag="devices",
            summary="Label, group and tag many devices at once", handler=change_devices,
            permission="devices:write", body=DeviceChanges, response=list[ChangedDevice],
            errors=(NotFound,), examples=(_CHANGES,),
            description="Each change has an outcome of its own, in the order of the request: "
            "one that cannot be made holds up no other.",
        ),
        Route(
            method="POST", path="/api/v1/projects/{project}/device-approvals", tag="devices",
            summary="Let devices in that wait for it", handler=approve_devices,
            permission="devices:write", body=DeviceApprovals, response=list[ApprovedDevice],
            errors=(NotFound,), examples=(DeviceApprovals(["dev_2f5c9d1a7b3e8046"]),),
            description="Devices wait when they register with a project token of which "
            "`approval` is true. Each has an outcome of its own; delete those that you do not "
            "want. A device hears of it within a minute or two.",
        ),
        Route(
            method="GET", path=DEVICE, summary="Read a device", tag="devices",
            handler=get_device, permission="devices:read", response=DeviceView, errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=DEVICE, tag="devices",
            summary="Label a device, put it into a group, or tag it", handler=patch_device,
            permission="devices:write", body=DeviceBody, response=DeviceView, errors=(NotFound,),
            examples=({"label": "greenhouse-1"}, {"group": "canary"}, {"tags": ["site:osaka"]}),
        ),
        Route(
            method="DELETE", path=DEVICE, summary="Revoke a device and forget it", tag="devices",
            handler=delete_device, permission="devices:write", status=204, errors=(NotFound,),
            description="It is cut off at once and its key is void; with a valid project token "
            "it may register again, as a new device.",
        ),
    ]  # fmt: skip
