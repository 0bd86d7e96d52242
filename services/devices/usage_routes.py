"""Data usage over HTTP: of a device, of a project and of all."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from hub import Call, FieldError, Invalid, NotFound, Reply, Route, cursor_of, position_of
from services.devices import contracts as d
from services.devices import usage_contracts as c

_DAYS: Final = 30
_MOST: Final = 400
From = Annotated[date | None, msgspec.Meta(description="First day (UTC); by default 30 days ago.")]
To = Annotated[date | None, msgspec.Meta(description="Last day, which counts; by default today.")]


class DataQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which days, 400 at most."""

    from_: From = msgspec.field(name="from", default=None)
    to: To = None


class DataPageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which days, and which page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200, description="Items of a page at most.")] = 50
    cursor: Annotated[str, msgspec.Meta(description="Where the page begins.")] = ""
    from_: From = msgspec.field(name="from", default=None)
    to: To = None


class DataUsageView(msgspec.Struct, frozen=True):
    """What was sent from one day to another, both within (UTC).

    Args:
        total: of these days; `this_month`: of the present month so far.
        days: those on which anything was sent.
    """

    from_: date = msgspec.field(name="from")
    to: date
    total: c.DataCount
    this_month: c.DataCount
    days: list[c.DataDay]


def _span(query: DataQuery | DataPageQuery) -> tuple[date, date]:
    """Give the first and the last day.

    Raises:
        Invalid: they are not in order, or too many.
    """
    last = query.to or datetime.now(UTC).date()
    if last.toordinal() <= _DAYS:
        wrong = FieldError("/to", "is beyond what a calendar shows")
        raise Invalid(wrong.detail, errors=[wrong])
    first = query.from_ or last - timedelta(days=_DAYS)
    if not 0 <= (last - first).days < _MOST:
        wrong = FieldError("/from", f"is not after `to`, and not {_MOST} days before it")
        raise Invalid(wrong.detail, errors=[wrong])
    return first, last


def _view(span: tuple[date, date], usage: c.DataUsage) -> Reply:
    return Reply(DataUsageView(*span, usage.total, usage.this_month, usage.days))


async def read_device_data_usage(call: Call[None, DataQuery]) -> Reply:
    """Answer `GET /devices/{device}/data-usage`."""
    span = _span(call.query)
    account = call.caller.account
    device = await call.bus.request(d.GET, d.OneDevice(account, call.path["device"]))
    wanted = c.DataOf(account, *span, project=device.project, device=device.id)
    return _view(span, await call.bus.request(c.DEVICE, wanted))


async def read_project_data_usage(call: Call[None, DataQuery]) -> Reply:
    """Answer `GET /projects/{project}/data-usage`."""
    span = _span(call.query)
    wanted = c.DataOf(call.caller.account, *span, project=call.path["project"])
    return _view(span, await call.bus.request(c.PROJECT, wanted))


async def read_data_usage(call: Call[None, DataQuery]) -> Reply:
    """Answer `GET /data-usage`."""
    span = _span(call.query)
    wanted = c.DataOf(call.caller.account, *span)
    return _view(span, await call.bus.request(c.ACCOUNT, wanted))


async def list_device_data_usage(call: Call[None, DataPageQuery]) -> Reply:
    """Answer `GET /projects/{project}/data-usage/devices`."""
    query = call.query
    after = position_of(query.cursor)
    first, last = _span(query)
    page = await call.bus.request(
        c.TOP,
        c.TopOf(call.caller.account, call.path["project"], first, last, query.limit, after),
    )
    return Reply(page.items, next=cursor_of(after + len(page.items)) if page.more else None)


_WHAT: Final = (
    "Counted are MQTT messages and the bytes of their topics and payloads, as compressed as they "
    "are sent; not what MQTT, TCP, IP and TLS add to that: docs/devices.md. A day is known for "
    "400 days; the last ten seconds are yet to come."
)


def routes() -> list[Route[Any, Any]]:
    """Give the routes of data usage."""
    return [
        Route(
            method="GET", path="/api/v1/devices/{device}/data-usage", tag="devices",
            summary="Read how much a device sent and was sent", handler=read_device_data_usage,
            permission="devices:read", query=DataQuery, response=DataUsageView,
            errors=(NotFound, Invalid), description=_WHAT,
        ),
        Route(
            method="GET", path="/api/v1/projects/{project}/data-usage", tag="devices",
            summary="Read how much a project's devices sent and were sent",
            handler=read_project_data_usage, permission="devices:read", query=DataQuery,
            response=DataUsageView, errors=(NotFound, Invalid),
            description=f"With those that are gone meanwhile. {_WHAT}",
        ),
        Route(
            method="GET", path="/api/v1/projects/{project}/data-usage/devices", tag="devices",
            summary="List a project's devices by how much they sent and were sent",
            handler=list_device_data_usage, permission="devices:read", query=DataPageQuery,
            response=list[c.DeviceDataCount], errors=(NotFound, Invalid),
            description=f"The most first. {_WHAT}",
        ),
        Route(
            method="GET", path="/api/v1/data-usage", tag="devices",
            summary="Read how much all devices of the account sent and were sent",
            handler=read_data_usage, permission="devices:read", query=DataQuery,
            response=DataUsageView, errors=(Invalid,),
            description=f"With projects that are gone meanwhile. {_WHAT}",
        ),
    ]  # fmt: skip
