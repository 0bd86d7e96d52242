"""What a narrowed role may see but not do: told apart from what is not there at all.

A project in which a role lacks a route's permission is hidden from the handler, so what belongs to
it is not found. Where the caller may see that thing, the answer says what is missing instead.
"""

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hub.errors import NotFound
from hub.gateway.authentication import out_of_scope
from hub.gateway.routing import AnyRoute, Table, path_parameters
from hub.permissions import Permissions
from hub.routes import Call, Download, EventStream, Reply
from hub.scope import hidden_projects, hiding

PROJECT = "project"
"""The path parameter that says which project it is about: authentication looks at that one."""


def in_sight(table: Table, permissions: Permissions) -> Table:
    """Give the same routes, that say of what is hidden but seen what is missing."""
    return {
        path: {method: _telling(route, table, permissions) for method, route in routes.items()}
        for path, routes in table.items()
    }


def _telling(route: AnyRoute, table: Table, permissions: Permissions) -> AnyRoute:
    if route.permission is None or PROJECT in path_parameters(route.path):
        return route
    reads = list(_reads_of_things(route.path, table))
    if not reads:
        return route
    return replace(route, handler=_told(route, reads, permissions))


def _reads_of_things(path: str, table: Table) -> Iterator[AnyRoute]:
    """Find the routes that read the things in a path: `/a/{a}` and `/a/{a}/b/{b}`."""
    for other, routes in table.items():
        if "GET" in routes and other.endswith("}") and f"{path}/".startswith(f"{other}/"):
            yield routes["GET"]


def _told(
    route: AnyRoute, reads: list[AnyRoute], permissions: Permissions
) -> Callable[[Call[Any, Any]], Awaitable[Reply | EventStream | Download]]:
    @functools.wraps(route.handler)  # an operation has the name of its handler
    async def handler(call: Call[Any, Any]) -> Reply | EventStream | Download:
        try:
            return await route.handler(call)
        except NotFound:
            hidden = hidden_projects()
            for read in reads if hidden else ():
                if await _is_only_hidden(read, call, hidden, permissions):
                    lacking = route.permission or ""
                    raise out_of_scope(
                        f"your role in the project of this lacks the permission {lacking}", lacking
                    ) from None
            raise

    return handler


async def _is_only_hidden(
    read: AnyRoute, call: Call[Any, Any], hidden: frozenset[str], permissions: Permissions
) -> bool:
    """Say whether the caller may see the thing, and it is in a project that is hidden now."""
    caller, permission = call.caller, read.permission or ""
    if not (caller.may(permission) and permissions.allows(caller.role, permission)):
        return False
    hidden_from_read = permissions.without(permission, caller.narrowed)
    if hidden_from_read == hidden or not await _finds(read, call, hidden_from_read):
        return False
    return not await _finds(read, call, hidden)


async def _finds(read: AnyRoute, call: Call[Any, Any], hidden: frozenset[str]) -> bool:
    """Say whether the thing is there for a caller from whom these projects are hidden."""
    wanted: Mapping[str, str] = {name: call.path[name] for name in path_parameters(read.path)}
    looking: Call[Any, Any] = replace(
        call, path=wanted, query=read.query(), body=None, if_match=None, wants_stream=False
    )
    try:
        with hiding(hidden):
            await read.handler(looking)
    except NotFound:
        return False
    return True
