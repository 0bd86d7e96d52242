"""Alert rules over HTTP, and what they told."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from hub import (
    PASSING,
    Call,
    Invalid,
    LimitReached,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    Severity,
    cursor_after,
    cursor_of,
    merge_patch,
    position_of,
)
from hub.structs import decode, json_values
from services.alerts import contracts as c

RULES: Final = "/api/v1/projects/{project}/alert-rules"
RULE: Final = "/api/v1/alert-rules/{rule}"


_MINUTES: Final = 60  # of an error rate: for so long lines are counted
_OF_KINDS: Final = {
    "metric": ("metric",),
    "over": ("metric", "error-rate"),
    "under": ("metric",),
    "clear": ("metric", "error-rate"),
    "stream": ("error-rate", "silence"),
    "level": ("error-rate",),
}
"""What is not of every kind, and of which it is."""


class AlertRuleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is worth telling.

    Args:
        name: what it is called in what it tells.
        kind: `offline`: a device is not connected; `metric`: a series is over, or under, a bound;
            `error-rate`: a device sends more bad lines than `over`; `silence`: it sends none.
        group: of the only devices that it concerns; "" for all.
        severity: of the line that it tells.
        minutes: for which it has to be so, or (`error-rate`, 60 at most) in which so many come.
        metric: name of a metric, as `disk_usage_ratio`; each series of a device by itself.
        over, under: the bound; one of the two. Of `error-rate`: `over` so many lines.
        clear: where it has to come back to until it is well again; by default the bound.
        device: id of the only device that it concerns, instead of a group.
        stream: of `error-rate` and `silence`: the only stream that counts; "" for any.
        level: of `error-rate`: lines of this severity or worse count; by default `err`.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    kind: c.Kind
    group: Annotated[str, msgspec.Meta(max_length=64)] = ""
    severity: Severity = "warning"
    enabled: bool = True
    minutes: Annotated[int, msgspec.Meta(ge=1, le=1_440)] = 5
    metric: Annotated[str, msgspec.Meta(max_length=128)] = ""
    over: float | None = None
    under: float | None = None
    clear: float | None = None
    device: Annotated[str, msgspec.Meta(max_length=64)] = ""
    stream: c.Stream = ""
    level: Severity | None = None

    def __post_init__(self) -> None:
        if self.group and self.device:
            raise ValueError("a rule concerns a group or a device, not both")
        given = {name for name in _OF_KINDS if getattr(self, name) not in ("", None)}
        if foreign := sorted(name for name in given if self.kind not in _OF_KINDS[name]):
            raise ValueError(f"not of the kind {self.kind}: {', '.join(foreign)}")
        if self.kind == "metric" and (not self.metric or {"over", "under"} <= given):
            raise ValueError("the kind metric has a metric, and one of over and under")
        if self.kind in ("metric", "error-rate") and not {"over", "under"} & given:
            raise ValueError(f"the kind {self.kind} has a bound: over, for example")
        if self.kind == "error-rate" and (self.minutes > _MINUTES or (self.over or 0.0) < 0):
            raise ValueError(f"lines are counted in {_MINUTES} minutes at most, from 0 on")
        if self.clear is None:
            return
        if self.over is not None and self.clear > self.over:
            raise ValueError("clear is not over the bound")
        if self.under is not None and self.clear < self.under:
            raise ValueError("clear is not under the bound")


class AlertRuleView(msgspec.Struct, frozen=True):
    """An alert rule; `firing` says of how many devices, or series, it tells at present."""

    id: str
    project: str
    name: str
    kind: c.Kind
    group: str
    severity: Severity
    enabled: bool
    minutes: int
    metric: str
    over: float | None
    under: float | None
    clear: float | None
    device: str
    stream: c.Stream
    level: Severity | None
    created_at: datetime
    updated_at: datetime
    firing: Annotated[int, PASSING] = 0


class AlertQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was told, newest first; `cursor` (from `Link: rel="next"`) goes back in time.

    Args:
        rule: id of the only rule to be shown.
        device: id of the only device to be shown.
        firing: only what is so at present: the last word of each that `fired`, and is not resolved.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=200, description="Items of a page at most.")] = 50
    cursor: Annotated[str, msgspec.Meta(description="Where the page begins.")] = ""
    rule: str = ""
    device: str = ""
    firing: bool = False


class AlertView(msgspec.Struct, frozen=True):
    """Something that a rule told: that it `fired`, or is `resolved`.

    Args:
        host: the device's label at that time, or its id.
        subject: labels of the series, as `mount=/data`; "" of the device.
    """

    rule: str
    rule_name: str
    device: str
    host: str
    subject: str
    state: c.State
    severity: Severity
    text: str
    at: datetime


def _view(rule: c.Rule) -> AlertRuleView:
    return msgspec.convert(rule, AlertRuleView, from_attributes=True)


def _reply(rule: c.Rule, location: str | None = None) -> Reply:
    return Reply(_view(rule), location=location, version=str(rule.version), live=True)


def _what(body: AlertRuleBody) -> c.What:
    what = msgspec.convert(body, c.What, from_attributes=True)
    if what.kind == "error-rate" and what.level is None:
        return msgspec.structs.replace(what, level="err")
    return what


async def _find(call: Call[Any, Any]) -> c.Rule:
    wanted = c.OneRule(call.caller.account, call.path["rule"])
    return await call.bus.request(c.GET, wanted)


async def list_alert_rules(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/alert-rules`."""
    page = await call.bus.request(
        c.LIST,
        c.ListRules(
            call.caller.account, call.path["project"], call.query.limit,
            position_of(call.query.cursor),
        ),
    )  # fmt: skip
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(rule) for rule in page.items], next=following)


async def create_alert_rule(call: Call[AlertRuleBody, Any]) -> Reply:
    """Answer `POST /projects/{project}/alert-rules`."""
    wanted = c.AddRule(call.caller.account, call.path["project"], _what(call.body))
    made = await call.bus.request(c.ADD, wanted)
    return _reply(made, f"/api/v1/alert-rules/{made.id}")


async def get_alert_rule(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /alert-rules/{rule}`."""
    return _reply(await _find(call))


async def put_alert_rule(call: Call[AlertRuleBody, Any]) -> Reply:
    """Answer `PUT /alert-rules/{rule}`."""
    return await _change(call, call.body, call.versions)


async def patch_alert_rule(call: Call[dict[str, Any], Any]) -> Reply:
    """Answer `PATCH /alert-rules/{rule}`."""
    current = await _find(call)
    now = json_values(msgspec.convert(current, AlertRuleBody, from_attributes=True))
    body = decode(AlertRuleBody, merge_patch(now, call.body))
    return await _change(call, body, call.replaces(str(current.version)))


async def delete_alert_rule(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /alert-rules/{rule}`."""
    wanted = c.DeleteRule(call.caller.account, call.path["rule"], call.versions)
    await call.bus.request(c.DELETE, wanted)
    return Reply()


async def list_alerts(call: Call[None, AlertQuery]) -> Reply:
    """Answer `GET /projects/{project}/alerts`."""
    query = call.query
    page = await call.bus.request(
        c.EVENTS,
        c.ListEvents(
            call.caller.account, call.path["project"], query.limit, position_of(query.cursor),
            query.rule, query.device, query.firing,
        ),
    )  # fmt: skip
    items = [msgspec.convert(event, AlertView, from_attributes=True) for event in page.items]
    return Reply(items, next=cursor_of(page.items[-1].number) if page.more else None)


async def _change(
    call: Call[Any, Any], body: AlertRuleBody, versions: tuple[str, ...] | None
) -> Reply:
    wanted = c.ChangeRule(call.caller.account, call.path["rule"], _what(body), versions)
    return _reply(await call.bus.request(c.CHANGE, wanted))


_OFFLINE: Final = AlertRuleBody("away", "offline", minutes=10)
_FULL: Final = AlertRuleBody(
    "disk full", "metric", severity="err", metric="disk_usage_ratio", over=0.9, clear=0.85
)
_ERRORS: Final = AlertRuleBody(
    "errors", "error-rate", severity="err", minutes=5, over=100, stream="app", level="err"
)
_SILENT: Final = AlertRuleBody("no word", "silence", minutes=30, stream="app")


def routes() -> list[Route[Any, Any]]:
    """Give all routes of the service."""
    return [
        Route(
            method="GET", path=RULES, summary="List a project's alert rules", tag="alerts",
            handler=list_alert_rules, permission="alerts:read", query=PageQuery,
            response=list[AlertRuleView], errors=(NotFound,),
        ),
        Route(
            method="POST", path=RULES, summary="Have something told", tag="alerts",
            handler=create_alert_rule, permission="alerts:write", body=AlertRuleBody,
            response=AlertRuleView, status=201, errors=(NotFound, Invalid, LimitReached),
            examples=(_OFFLINE, _FULL, _ERRORS, _SILENT),
            description="What it tells is a line of the project's stream `agent`, of the program "
            "`alerts`, which goes wherever the project's lines go: once that it is so, and once "
            "that it is so no more. Each device by itself.",
        ),
        Route(
            method="GET", path=RULE, summary="Read an alert rule", tag="alerts",
            handler=get_alert_rule, permission="alerts:read", response=AlertRuleView,
            errors=(NotFound,),
        ),
        Route(
            method="PUT", path=RULE, summary="Replace an alert rule", tag="alerts",
            handler=put_alert_rule, permission="alerts:write", body=AlertRuleBody,
            response=AlertRuleView, errors=(NotFound, Invalid), examples=(_FULL,),
            description="It begins anew: what still is so is told again.",
        ),
        Route(
            method="PATCH", path=RULE, summary="Change an alert rule", tag="alerts",
            handler=patch_alert_rule, permission="alerts:write", body=AlertRuleBody,
            response=AlertRuleView, errors=(NotFound, Invalid), examples=({"enabled": False},),
        ),
        Route(
            method="DELETE", path=RULE, summary="Delete an alert rule", tag="alerts",
            handler=delete_alert_rule, permission="alerts:write", status=204, errors=(NotFound,),
        ),
        Route(
            method="GET", path="/api/v1/projects/{project}/alerts", tag="alerts",
            summary="Read what was told", handler=list_alerts, permission="alerts:read",
            query=AlertQuery, response=list[AlertView], errors=(NotFound,),
            description="Newest first, of the last 90 days.",
        ),
    ]  # fmt: skip
