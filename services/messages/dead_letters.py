"""Dead letters over HTTP: what could not be delivered, or not even be taken."""

from typing import Annotated, Any, Final

import msgspec

from hub import (
    Call,
    Invalid,
    NotFound,
    PageQuery,
    Reply,
    Route,
    cursor_of,
    position_of,
)
from hub.relay import contracts as relay
from hub.structs import decode
from services.messages import peers
from services.messages.views import INTEGRATION, PROJECT, NoBody, find

INTAKE: Final = "intake"
"""The source of what devices sent and the hub could not take."""


class DeadLetterView(msgspec.Struct, frozen=True):
    """A dead letter in a list: all but its lines.

    Args:
        count: lines or samples in it.
        at: when it became one; `received` when the hub took it (RFC 3339).
    """

    id: str
    source: str
    reason: str
    device: str
    host: str
    stream: str
    at: str
    received: str
    count: int


class Dropped(msgspec.Struct, frozen=True):
    """How many dead letters were dropped, and how many lines and samples in them.

    Args:
        more: they were very many, and some are left: ask again.
    """

    letters: int
    lines: int
    more: bool = False


class DeadLetterFix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The texts of its lines, one for each."""

    messages: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1_000)]


# ── of an integration ─────────────────────────────────────────────────────────────────────────


async def list_dead_letters(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /integrations/{integration}/dead-letters`."""
    found = await find(call)
    return await _page(call, found.project, found.id)


async def get_dead_letter(call: NoBody) -> Reply:
    """Answer `GET /integrations/{integration}/dead-letters/{letter}`."""
    found = await find(call)
    wanted = relay.OneDead(found.project, found.id, call.path["letter"])
    return Reply(await call.bus.request(relay.GET_DEAD, wanted))


async def patch_dead_letter(call: Call[dict[str, Any], Any]) -> Reply:
    """Answer `PATCH /integrations/{integration}/dead-letters/{letter}`."""
    found = await find(call)
    letter = call.path["letter"]
    wanted = relay.OneDead(found.project, found.id, letter)
    if "messages" not in call.body:  # an empty patch changes nothing (RFC 7396)
        decode(DeadLetterFix, {"messages": [""], **call.body})
        return Reply(await call.bus.request(relay.GET_DEAD, wanted))
    fix = decode(DeadLetterFix, call.body)
    request = relay.FixDead(found.project, found.id, letter, fix.messages)
    return Reply(await call.bus.request(relay.FIX_DEAD, request))


async def drop_dead_letter(call: NoBody) -> Reply:
    """Answer `DELETE /integrations/{integration}/dead-letters/{letter}`."""
    found = await find(call)
    wanted = relay.SomeDead(found.project, found.id, [call.path["letter"]])
    await call.bus.request(relay.DROP_DEAD, wanted)
    return Reply()


async def drop_dead_letters(call: NoBody) -> Reply:
    """Answer `DELETE /integrations/{integration}/dead-letters`."""
    found = await find(call)
    return await _drop(call, found.project, found.id)


# ── of the intake ─────────────────────────────────────────────────────────────────────────────


async def list_refused(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/dead-letters`."""
    return await _page(call, await _project(call), INTAKE)


async def drop_refused(call: NoBody) -> Reply:
    """Answer `DELETE /projects/{project}/dead-letters`."""
    return await _drop(call, await _project(call), INTAKE)


async def _project(call: Call[Any, Any]) -> str:
    wanted = peers.GetProject(call.caller.account, call.path["project"])
    return (await call.bus.request(peers.GET_PROJECT, wanted)).id


async def _page(call: Call[None, PageQuery], project: str, source: str) -> Reply:
    after = position_of(call.query.cursor)
    wanted = relay.ListDead(project, source, call.query.limit, after)
    page = await call.bus.request(relay.LIST_DEAD, wanted)
    items = [msgspec.convert(item, DeadLetterView, from_attributes=True) for item in page.items]
    following = cursor_of(int(items[-1].id)) if page.more else None
    return Reply(items, next=following)


async def _drop(call: Call[Any, Any], project: str, source: str) -> Reply:
    done = await call.bus.request(relay.DROP_DEAD, relay.SomeDead(project, source))
    return Reply(Dropped(done.letters, done.lines, done.more))


LETTERS: Final = f"{INTEGRATION}/dead-letters"
LETTER: Final = f"{LETTERS}/{{letter}}"
REFUSED: Final = f"{PROJECT}/dead-letters"


def routes() -> list[Route[Any, Any]]:
    """Give the routes of dead letters."""
    return [
        Route(
            method="GET", path=LETTERS, summary="List what could not be delivered",
            tag="dead letters", handler=list_dead_letters, permission="dead-letters:read",
            query=PageQuery, response=list[DeadLetterView], errors=(NotFound,),
            description="Oldest first, with the reason that the destination gave. The "
            "integration's `status` says how many there are, and how many age, or want of room, "
            "took before somebody did (`lost_letters`).",
        ),
        Route(
            method="DELETE", path=LETTERS, summary="Drop all dead letters of an integration",
            tag="dead letters", handler=drop_dead_letters, permission="dead-letters:write",
            response=Dropped, errors=(NotFound,), versioned=False,
        ),
        Route(
            method="GET", path=LETTER, summary="Read a dead letter and its lines",
            tag="dead letters", handler=get_dead_letter, permission="dead-letters:read",
            response=relay.DeadLetter, errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=LETTER, summary="Fix the lines of a dead letter",
            tag="dead letters", handler=patch_dead_letter, permission="dead-letters:write",
            body=DeadLetterFix, response=relay.DeadLetter, errors=(NotFound, Invalid),
            versioned=False,
            examples=({"messages": ["the text as it should have been"]},),
            description="It keeps its id and its place; a replay then sends it as it is now.",
        ),
        Route(
            method="DELETE", path=LETTER, summary="Drop a dead letter", tag="dead letters",
            handler=drop_dead_letter, permission="dead-letters:write", status=204,
            errors=(NotFound,), versioned=False,
        ),
        Route(
            method="GET", path=REFUSED, summary="List what devices sent and nobody can read",
            tag="dead letters", handler=list_refused, permission="dead-letters:read",
            query=PageQuery, response=list[DeadLetterView], errors=(NotFound,),
            description="Oldest first. `GET /projects/{project}/relay` says how many there are, "
            "and how many age, or want of room, took.",
        ),
        Route(
            method="DELETE", path=REFUSED, summary="Drop what nobody can read",
            tag="dead letters", handler=drop_refused, permission="dead-letters:write",
            response=Dropped, errors=(NotFound,), versioned=False,
        ),
    ]  # fmt: skip
