"""How the relay fares over HTTP: with all that an account has, and with one project."""

from typing import Any

import msgspec

from hub import Call, NotFound, Reply, Route
from hub.relay import contracts as relay
from services.messages import contracts as c
from services.messages import peers
from services.messages.dead_letters import INTAKE
from services.messages.views import PROJECT, NoBody

_PAGE = 200


class IntegrationHealth(msgspec.Struct, frozen=True):
    """How one integration fares; no status while the relay does not answer."""

    id: str
    type: str
    name: str
    status: relay.IntegrationStatus | None


class ProjectHealth(msgspec.Struct, frozen=True):
    """How a project's integrations fare.

    Args:
        states: how many integrations there are, by state.
        lag_lines, lag_seconds: of the one that is furthest behind.
        gap_lines: lines (at most) that were lost before they were delivered.
        dead_letters: of all integrations; `refused` those of the intake: what devices sent and
            nobody can read.
        lost_letters, refused_lost: of these (at most), that age, or want of room, took.
    """

    integrations: list[IntegrationHealth]
    states: dict[str, int]
    lag_lines: int
    lag_seconds: float
    gap_lines: int
    dead_letters: int
    lost_letters: int
    refused: int
    refused_lost: int


async def get_relay(call: NoBody) -> Reply:
    """Answer `GET /relay`."""
    own = c.OwnIntegrations(call.caller.account)
    integrations = (await call.bus.request(c.LIST_IDS, own)).ids
    wanted = relay.HealthOf(await _projects(call), integrations)
    return Reply(await call.bus.request(relay.RELAY_HEALTH, wanted))


async def get_project_relay(call: NoBody) -> Reply:
    """Answer `GET /projects/{project}/relay`."""
    items = await _integrations(call)
    statuses = [item.status for item in items if item.status is not None]
    wanted = relay.ListDead(call.path["project"], INTAKE, 1)
    refused = await call.bus.request(relay.LIST_DEAD, wanted)
    states = [status.state for status in statuses]
    return Reply(
        ProjectHealth(
            integrations=[IntegrationHealth(i.id, i.type, i.name, i.status) for i in items],
            states={state: states.count(state) for state in sorted(set(states))},
            lag_lines=max((status.lag_lines for status in statuses), default=0),
            lag_seconds=max((status.lag_seconds for status in statuses), default=0.0),
            gap_lines=sum(status.gap_lines for status in statuses),
            dead_letters=sum(status.dead_letters for status in statuses),
            lost_letters=sum(status.lost_letters for status in statuses),
            refused=refused.total,
            refused_lost=refused.lost,
        )
    )


async def _projects(call: Call[Any, Any]) -> list[str]:
    items: list[peers.NumberedProject] = []
    more = True
    while more:
        after = items[-1].number if items else 0
        wanted = peers.ListProjects(call.caller.account, _PAGE, after)
        page = await call.bus.request(peers.LIST_PROJECTS, wanted)
        items += page.items
        more = page.more
    return [item.id for item in items]


async def _integrations(call: Call[Any, Any]) -> list[c.Integration]:
    items: list[c.Integration] = []
    more = True
    while more:
        after = items[-1].number if items else 0
        page = await call.bus.request(
            c.LIST,
            c.ListIntegrations(call.caller.account, call.path["project"], _PAGE, after),
        )
        items += page.items
        more = page.more
    return items


def routes() -> list[Route[Any, Any]]:
    """Give the routes of the relay's health."""
    return [
        Route(
            method="GET", path="/api/v1/relay", summary="See how the relay fares", tag="relay",
            handler=get_relay, permission="relay:read", response=relay.RelayHealth,
            description="All projects of the account together. Who runs the hub finds the figures "
            "of the whole relay, in Prometheus form, at `/metrics`.",
        ),
        Route(
            method="GET", path=f"{PROJECT}/relay", summary="See how a project's relay fares",
            tag="relay", handler=get_project_relay, permission="integrations:read",
            response=ProjectHealth, errors=(NotFound,),
        ),
    ]  # fmt: skip
