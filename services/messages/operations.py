"""What is done with an integration besides configuring it: pause, test, dry run, replay."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from hub import (
    Call,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Reply,
    Route,
    Shape,
    check_shape,
    rfc3339,
)
from hub.relay import contracts as relay
from hub.structs import decode
from services.messages import contracts as c
from services.messages.views import INTEGRATION, OF_PROJECT, IntegrationView, NoBody, find, reply

Message = Annotated[
    str, msgspec.Meta(max_length=1_000, description="Of the test line; there is one by default.")
]


class TestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line to send."""

    message: Message = ""


class TestConfigBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new integration as it would be made; only `type` and `config` are used."""

    type: str
    config: dict[str, Any]
    name: str = ""
    enabled: bool = True
    shape: Shape = Shape()
    message: Message = ""


class DryRunBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shape to try; without one, the integration's own."""

    shape: Shape | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100


class ReplayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to deliver once more: dead letters, or the lines since a time.

    Args:
        dead_letters: `all`, or the ids of some.
        since: a time (RFC 3339), or `now`, which leaves out what waits.
    """

    dead_letters: (
        Literal["all"] | Annotated[list[str], msgspec.Meta(min_length=1, max_length=1_000)] | None
    ) = None
    since: str | None = msgspec.field(name="from", default=None)

    def __post_init__(self) -> None:
        if (self.dead_letters is None) is (self.since is None):
            raise ValueError("give either dead_letters or from")


class ReplayView(msgspec.Struct, frozen=True):
    """What is delivered once more.

    Args:
        letters, lines: how many dead letters, and lines in them.
        more: there were more dead letters than fit at once: ask again.
        since: from when on lines are delivered.
        note: what else there is to know.
    """

    letters: int = 0
    lines: int = 0
    more: bool = False
    since: str | None = msgspec.field(name="from", default=None)
    note: str = ""


async def pause_integration(call: NoBody) -> Reply:
    """Answer `POST /integrations/{integration}/pause`."""
    return await _switch(call, enabled=False)


async def resume_integration(call: NoBody) -> Reply:
    """Answer `POST /integrations/{integration}/resume`."""
    return await _switch(call, enabled=True)


async def _switch(call: NoBody, *, enabled: bool) -> Reply:
    request = c.SwitchIntegration(
        call.caller.account, call.path["integration"], enabled, call.versions
    )
    return reply(await call.bus.request(c.SWITCH, request))


async def test_integration(call: Call[TestBody, Any]) -> Reply:
    """Answer `POST /integrations/{integration}/test`."""
    request = c.TestIntegration(call.caller.account, call.path["integration"], call.body.message)
    return Reply(await call.bus.request(c.TEST, request))


async def test_integration_config(call: Call[TestConfigBody, Any]) -> Reply:
    """Answer `POST /projects/{project}/integrations/test`."""
    body = call.body
    request = c.TestConfig(
        call.caller.account, call.path["project"], body.type, body.config, body.message
    )
    return Reply(await call.bus.request(c.TEST_CONFIG, request))


async def dry_run_integration(call: Call[DryRunBody, Any]) -> Reply:
    """Answer `POST /integrations/{integration}/dry-run`."""
    found = await find(call)
    shape = found.shape if call.body.shape is None else call.body.shape
    check_shape(shape)
    request = relay.DryRun(found.project, shape, call.body.limit)
    return Reply((await call.bus.request(relay.DRY_RUN, request)).lines)


async def replay_integration(call: Call[ReplayBody, Any]) -> Reply:
    """Answer `POST /integrations/{integration}/replay`."""
    if call.body.since is not None:
        return await _rewind(call, call.body.since)
    found = await find(call)
    letters = call.body.dead_letters
    wanted = relay.SomeDead(found.project, found.id, None if letters == "all" else letters)
    done = await call.bus.request(relay.REPLAY_DEAD, wanted)
    return Reply(ReplayView(done.letters, done.lines, done.more))


async def _rewind(call: Call[ReplayBody, Any], since: str) -> Reply:
    request = c.RewindIntegration(
        call.caller.account, call.path["integration"], _moment(since), call.versions
    )
    changed = await call.bus.request(c.REWIND, request)
    note = (
        "what waited is left out"
        if since == "now"
        else "lines since then are delivered again, before newer ones; those that retention "
        "has removed are not"
    )
    return Reply(ReplayView(since=rfc3339(changed.start_at), note=note))


def _moment(text: str) -> datetime | None:
    """Read a time; None for now.

    Raises:
        Invalid: it is none.
    """
    if text == "now":
        return None
    try:
        moment = decode(datetime, text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (Invalid, OverflowError):  # the latter in the year 0 there, or 10000
        pass
    wrong = FieldError("/from", 'is "now", or a time as in 2026-11-23T15:04:05Z')
    raise Invalid(wrong.detail, errors=[wrong])


def routes() -> list[Route[Any, Any]]:
    """Give these routes."""
    return [
        Route(
            method="POST", path=f"{INTEGRATION}/pause", summary="Pause an integration",
            tag="integrations", handler=pause_integration, permission="integrations:write",
            response=IntegrationView, errors=(NotFound,),
            description="Lines wait for it, as long as they are kept. It is the same as "
            "`\"enabled\": false`; one that is paused stays so.",
        ),
        Route(
            method="POST", path=f"{INTEGRATION}/resume", summary="Let an integration go on",
            tag="integrations", handler=resume_integration, permission="integrations:write",
            response=IntegrationView, errors=(NotFound,),
            description="It goes on where it was paused: nothing is lost or sent again.",
        ),
        Route(
            method="POST", path=f"{INTEGRATION}/test", summary="Send a test line now",
            tag="integrations", handler=test_integration, permission="integrations:write",
            body=TestBody, response=relay.TestResult, errors=(NotFound,),
            examples=(TestBody("hello"),),
            description="One line (for metrics: one sample, `isaax_test`) of the host "
            "`isaax-test` goes there, by a connection of its own and past the shape, and what "
            "the destination answered is shown. What it delivers otherwise goes on meanwhile.",
        ),
        Route(
            method="POST", path=f"{OF_PROJECT}/test", tag="integrations",
            summary="Send a test line with a config that is not saved",
            handler=test_integration_config, permission="integrations:write",
            body=TestConfigBody, response=relay.TestResult, errors=(NotFound, Invalid),
            examples=(TestConfigBody("syslog", {"host": "logs.example.com", "port": 6514}),),
            description="As it would be made; nothing is kept.",
        ),
        Route(
            method="POST", path=f"{INTEGRATION}/dry-run", tag="integrations",
            summary="See what a shape does to the last lines", handler=dry_run_integration,
            permission="logs:read", body=DryRunBody, response=list[relay.ShapedLine],
            errors=(NotFound, Invalid),
            examples=({"shape": {"redact": {"emails": True}}, "limit": 10},),
            description="Each of the project's last lines, and what of it would be sent. "
            "Nothing is.",
        ),
        Route(
            method="POST", path=f"{INTEGRATION}/replay", tag="integrations",
            summary="Deliver dead letters, or the lines since a time, once more",
            handler=replay_integration, permission="integrations:write", body=ReplayBody,
            response=ReplayView, errors=(NotFound, Invalid, Conflict),
            examples=({"dead_letters": "all"}, {"from": "2026-11-23T15:00:00Z"}),
            description="Dead letters are delivered in their order, and are gone from the list. "
            "With `from`, the lines since then are delivered again and before newer ones, as far "
            "as retention has kept them; `\"from\": \"now\"` leaves out what waits.",
        ),
    ]  # fmt: skip
