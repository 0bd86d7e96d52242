"""Whether whoever follows an event stream still may: asked again each second, by their credential.

A request is let in once, and a stream goes on for days. What takes rights away (a session that
ends, a token that is revoked, a member who is removed, a role that is narrowed) need not know of
streams, nor where the gateways are: each asks for those whom it serves, as for every request.
"""

import asyncio
from collections import Counter
from typing import Any, Final

import structlog
from aiohttp import web

from hub.errors import Forbidden, IsaaxError, Unavailable
from hub.gateway.authentication import ACCOUNT, Authentication, Identity
from hub.gateway.routing import AnyRoute

EVERY: Final = 1.0
"""Seconds between two looks at one follower."""
AT_MOST: Final = 100.0
"""Followers that are asked about in a second; where more follow, each is looked at more seldom."""
PATIENCE: Final = 60.0
"""Seconds for which a follower is believed while nobody says whether they still may."""

_Key = tuple[Any, ...]

_log = structlog.stdlib.get_logger(__name__)


class Standing:
    """Looks at those who follow; many streams of one credential are one look."""

    def __init__(
        self, authentication: Authentication, *, every: float = EVERY, patience: float = PATIENCE
    ) -> None:
        """Look; the arguments are as the constants of their names."""
        self._authentication = authentication
        self._every = every
        self._patience = patience
        self._followers: Counter[_Key] = Counter()
        self._looks: dict[_Key, asyncio.Task[IsaaxError | bool]] = {}

    async def lost(
        self, request: web.Request, route: AnyRoute, identity: Identity
    ) -> IsaaxError | None:
        """Wait until somebody may not follow any more, and say why.

        Returns:
            None: they see something else from now on, and are to connect again.
        """
        key = _key_of(request, route, identity)
        self._followers[key] += 1
        try:
            return await self._wait(key, request, route, identity)
        finally:
            self._followers[key] -= 1
            self._followers += Counter()  # forgets those that follow no more
            if key not in self._followers and (task := self._looks.get(key)) is not None:
                task.cancel()
                await asyncio.wait({task})

    async def _wait(
        self, key: _Key, request: web.Request, route: AnyRoute, identity: Identity
    ) -> IsaaxError | None:
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while True:
            await asyncio.sleep(self._until_next(key, loop.time()))
            found = await asyncio.shield(self._look(key, request, route, identity))
            if isinstance(found, Unavailable) and loop.time() - answered < self._patience:
                continue
            if isinstance(found, IsaaxError):
                return found
            if not found:
                return None
            answered = loop.time()

    def _until_next(self, key: _Key, now: float) -> float:
        """Give the seconds until the next look: at one time for all of a key, spread over keys."""
        every = max(self._every, len(self._followers) / AT_MOST)
        return every - (now + hash(key) % 997 / 997 * every) % every

    def _look(
        self, key: _Key, request: web.Request, route: AnyRoute, identity: Identity
    ) -> asyncio.Task[IsaaxError | bool]:
        task = self._looks.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(request, route, identity))
            self._looks[key] = task
            task.add_done_callback(lambda _: self._looks.pop(key, None))
        return task

    async def _ask(
        self, request: web.Request, route: AnyRoute, identity: Identity
    ) -> IsaaxError | bool:
        """Say whether somebody may follow as they do (False: not so), or why not at all."""
        try:
            shown = await self._authentication.identify(request)
            now = self._authentication.let_in(
                shown,
                route.permission,
                project=request.match_info.get("project", ""),
                interactive=route.interactive,
            )
        except IsaaxError as error:
            return error
        except Exception:  # noqa: BLE001 - an authenticator of a plugin; the log says why
            _log.exception("a credential could not be looked at again")
            return IsaaxError()
        if now.caller.account != identity.caller.account:
            return Forbidden("you are no member of this account any more")
        return now.hidden == identity.hidden


def _key_of(request: web.Request, route: AnyRoute, identity: Identity) -> _Key:
    return (
        identity.credential,
        identity.hidden,
        route.permission,
        route.interactive,
        request.headers.get(ACCOUNT, ""),
        request.match_info.get("account", ""),
        request.match_info.get("project", ""),
    )
