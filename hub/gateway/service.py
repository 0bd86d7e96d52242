"""The gateway as a service of the hub: started last, drained first."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import structlog

from hub.audit.log import Recorder
from hub.certificate import EVERY
from hub.contracts import Bus
from hub.database import Database
from hub.gateway.absence import absent_routes, marked, told
from hub.gateway.app import build_app
from hub.gateway.auditing import Auditing
from hub.gateway.authentication import Authentication
from hub.gateway.connection import Limits
from hub.gateway.cors import Cors
from hub.gateway.dispatch import DEADLINE, Parts
from hub.gateway.idempotency import Idempotency
from hub.gateway.openapi import describe
from hub.gateway.pages import PATHS, Pages
from hub.gateway.peer import Peers, networks_of
from hub.gateway.problems import describe_problems
from hub.gateway.quotas import Quotas
from hub.gateway.reference import Reference
from hub.gateway.routing import Declared, Table, build_table
from hub.gateway.server import Listening, serving
from hub.gateway.shell import Shell
from hub.gateway.sight import in_sight
from hub.gateway.sse import HEARTBEAT, PER_ACCOUNT, STALL, Streams
from hub.gateway.standing import EVERY as EVERY_LOOK
from hub.gateway.standing import PATIENCE, Standing
from hub.gateway.turns import LOOKUPS, WAITING, Turns
from hub.permissions import Permissions
from hub.plugins import PluginHost
from hub.services import switched_off
from hub.settings import HttpSettings, HubSettings
from hub.telemetry import Health, Metrics

_log = structlog.stdlib.get_logger(__name__)

DRAIN: Final = 14.0
"""Seconds that requests may take after the hub was told to stop.

aiohttp waits this long for the handlers, and as long again for those that it then cancels.
"""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and bounds that no setting changes; tests shorten them.

    Args:
        deadline: seconds that a handler may take.
        drain: seconds that requests may still take at the end.
        heartbeat, stall, per_account: of event streams, see `hub/gateway/sse.py`.
        every, patience: of looks at who follows them, see `hub/gateway/standing.py`.
        waiting: requests of one account, see `hub/gateway/turns.py`.
        look: seconds between two looks at the certificate, see `hub/certificate.py`.
        clock: of the limits of requests, in seconds.
    """

    limits: Limits = field(default_factory=Limits)
    deadline: float = DEADLINE
    drain: float = DRAIN
    heartbeat: float = HEARTBEAT
    stall: float = STALL
    per_account: int = PER_ACCOUNT
    every: float = EVERY_LOOK
    patience: float = PATIENCE
    waiting: int = WAITING
    look: float = EVERY
    clock: Callable[[], float] = time.monotonic


@asynccontextmanager
async def gateway(
    settings: HttpSettings,
    hub_settings: HubSettings,
    plugins: PluginHost,
    bus: Bus,
    database: Database,
    metrics: Metrics,
    health: Health,
    recorder: Recorder,
) -> AsyncIterator[Listening]:
    """Run the gateway: the service `gateway`.

    Raises:
        StartError: names the setting that is wrong.
    """
    # The services that the requests wait for have to drain within the same budget.
    tuning = Tuning(drain=min(DRAIN, hub_settings.drain / 2))
    off = switched_off(hub_settings, plugins.services)
    async with serve(
        settings, plugins, bus, database, metrics, health, recorder, tuning, off
    ) as listening:
        yield listening


@asynccontextmanager
async def serve(
    settings: HttpSettings,
    plugins: PluginHost,
    bus: Bus,
    database: Database,
    metrics: Metrics,
    health: Health,
    recorder: Recorder,
    tuning: Tuning,
    off: Collection[str] = (),
) -> AsyncIterator[Listening]:
    """Serve what the plugins declared over HTTP.

    Leaving it takes no new connection, ends event streams with a hint when to come back, and
    lets every request that is at work have its answer.

    Args:
        off: services that are switched off.

    Raises:
        StartError: names the setting that is wrong.
    """
    permissions = Permissions(plugins.permissions.values())
    absent = absent_routes(plugins, off)
    table = told(_table(plugins, permissions), absent)
    routes = [route for methods in table.values() for route in methods.values()]
    peers = Peers(networks_of(settings.trusted_proxies))
    authentication = Authentication([*plugins.authenticators.values()], permissions, bus, peers)
    quotas = Quotas(
        settings,
        metrics.counter(
            "isaax_http_limited_total", "Requests beyond a limit of their rate.", ("limit",)
        ),
        clock=tuning.clock,
    )
    idempotency = Idempotency(database)
    streams = Streams(
        metrics,
        heartbeat=tuning.heartbeat,
        stall=tuning.stall,
        per_account=tuning.per_account,
    )
    document = describe(
        table,
        version=version("isaax"),
        schemes=authentication.schemes,
        cookies=authentication.cookies,
    )
    document = marked(document, absent, off)
    problems = describe_problems(error for route in routes for error in route.errors)
    pages = Pages(
        document=document,
        problems=problems,
        reference=Reference(table, document, permissions, problems, settings),
        health=health,
        off=off,
        metrics=metrics,
        metrics_token=settings.metrics_token,
    )
    parts = Parts(
        bus,
        authentication,
        idempotency,
        streams,
        Standing(authentication, every=tuning.every, patience=tuning.patience),
        quotas,
        Turns(
            settings.requests_at_work,
            metrics.gauge("isaax_http_waiting", "Requests that wait for their account's turn."),
            waiting=tuning.waiting,
        ),
        Turns(
            LOOKUPS,
            metrics.gauge(
                "isaax_http_unidentified", "Requests that wait to be told whose they are."
            ),
            waiting=settings.connections,
        ),
        Auditing(table, recorder),
        tuning.deadline,
    )
    cors = Cors(settings.allowed_origins)
    secret_paths = [route.path for route in routes if route.secret_path]
    shell = Shell(metrics, peers, quotas, cors, secret_paths)
    app = build_app(table, pages, parts, shell, cors, max_body=settings.max_body)

    def on_drain() -> None:
        shell.drain()
        streams.drain()

    async with (
        _running(idempotency.keep_clear()),
        serving(
            app,
            settings,
            limits=tuning.limits,
            peers=peers,
            metrics=metrics,
            budget=tuning.drain,
            look=tuning.look,
            on_drain=on_drain,
        ) as listening,
    ):
        _log.info("gateway listening", url=listening.url, routes=len(routes))
        yield listening


def _table(plugins: PluginHost, permissions: Permissions) -> Table:
    declared = [Declared(plugins.plugin_of(route), route) for route in plugins.routes]
    table, refused = build_table(declared, permissions, reserved=PATHS)
    for one in refused:
        _log.error(
            "route not served",
            plugin=one.plugin,
            method=one.method,
            path=one.path,
            reason=one.reason,
        )
    return in_sight(table, permissions)


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
