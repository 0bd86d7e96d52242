"""Routes whose service is switched off: they stay where they are, and say so.

A client that was generated from the document of another hub finds every path in it.
"""

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hub.errors import NotAvailable
from hub.gateway.openapi.schemas import JsonObject
from hub.gateway.routing import AnyRoute, Table
from hub.plugins import PluginHost
from hub.routes import Call, Reply

Absent = Mapping[tuple[str, str], str]
"""Service by method and path."""


def absent_routes(plugins: PluginHost, off: Collection[str]) -> Absent:
    """Find the routes of plugins that declare services, all of which are switched off."""
    services: dict[str, list[str]] = {}
    for name, service in plugins.services.items():
        services.setdefault(plugins.plugin_of(service), []).append(name)
    return dict(_absent(plugins, services, off))


def _absent(
    plugins: PluginHost, services: Mapping[str, list[str]], off: Collection[str]
) -> Iterator[tuple[tuple[str, str], str]]:
    for route in plugins.routes:
        own = services.get(plugins.plugin_of(route), [])
        if own and all(name in off for name in own):
            yield (route.method, route.path), own[0]


def told(table: Table, absent: Absent) -> Table:
    """Give the same routes; those that are absent say so, in the reference and when asked."""
    return {
        path: {
            method: _absent_route(route, absent[method, path])
            if (method, path) in absent
            else route
            for method, route in routes.items()
        }
        for path, routes in table.items()
    }


def _absent_route(route: AnyRoute, service: str) -> AnyRoute:
    @functools.wraps(route.handler)  # an operation has the name of its handler
    async def handler(call: Call[Any, Any]) -> Reply:
        raise NotAvailable.of(service)

    note = f"Not available on this hub: the service {service} is switched off."
    return replace(route, handler=handler, description=f"{note} {route.description}".strip())


def marked(document: JsonObject, absent: Absent, off: Collection[str]) -> JsonObject:
    """Mark such operations (`x-not-available`), and list what is off (`x-switched-off`)."""
    for (method, path), service in absent.items():
        operation: dict[str, Any] = document["paths"].get(path, {}).get(method.lower(), {})
        operation["x-not-available"] = service
    return {**document, "x-switched-off": sorted(off)} if off else document
