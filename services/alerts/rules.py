"""Rules of alerts: made, read, changed and deleted; and what they told."""

from typing import Any, Final

import msgspec

from hub import (
    Bus,
    Connection,
    Database,
    EventInfo,
    FieldError,
    Invalid,
    LimitReached,
    NotFound,
    Nothing,
    PreconditionFailed,
    Queries,
)
from hub.ids import new
from services.alerts import contracts as c
from services.alerts import peers

MOST: Final = 100
"""Rules of one project."""


class Alerts:
    """What is answered about rules."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._sql = Queries.load("services.alerts")

    async def add(self, request: c.AddRule) -> c.Rule:
        """Make a rule.

        Raises:
            Invalid: it is to concern a device that is not there.
            LimitReached: the project has as many as it may.
        """
        await self._find(request.account, request.project)
        if request.what.device:
            await self._find_device(request.account, request.project, request.what.device)
        scope = {"account": request.account, "project": request.project}
        async with self._database.transaction(account=request.account) as tx:
            await tx.run(self._sql["lock_project"], project=request.project)
            if await tx.one(self._sql["count_rules"], int, **scope) >= MOST:
                raise LimitReached(f"a project has {MOST} alert rules at most")
            what = msgspec.structs.asdict(request.what)
            return await tx.one(self._sql["add_rule"], c.Rule, id=new("alr"), **scope, **what)

    async def get(self, request: c.OneRule) -> c.Rule:
        """Give one rule."""
        async with self._database.transaction(account=request.account) as tx:
            return await self._get(tx, request.account, request.rule)

    async def list(self, request: c.ListRules) -> c.Rules:
        """Give a page of a project's rules."""
        await self._find(request.account, request.project)
        parameters: dict[str, Any] = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list_rules"], c.Rule, **parameters)
        return c.Rules.of(rows, request.limit)

    async def change(self, request: c.ChangeRule) -> c.Rule:
        """Have a rule look for something else; what it knew is forgotten.

        Raises:
            Invalid: it is to concern another device, which is not there.
        """
        before = await self.get(c.OneRule(request.account, request.rule))
        if request.what.device and request.what.device != before.device:
            await self._find_device(request.account, before.project, request.what.device)
        scope = {"account": request.account, "rule": request.rule}
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request.account, request.rule, request.versions)
            await tx.run(self._sql["drop_states"], **scope)
            what = msgspec.structs.asdict(request.what)
            await tx.run(self._sql["change_rule"], **scope, **what)
            return await self._get(tx, request.account, request.rule)

    async def delete(self, request: c.DeleteRule) -> Nothing:
        """Delete a rule."""
        async with self._database.transaction(account=request.account) as tx:
            await self._lock(tx, request.account, request.rule, request.versions)
            await tx.run(self._sql["delete_rule"], account=request.account, rule=request.rule)
        return Nothing()

    async def events(self, request: c.ListEvents) -> c.Events:
        """Give a page of what was told."""
        await self._find(request.account, request.project)
        parameters: dict[str, Any] = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list_events"], c.Event, **parameters)
        return c.Events.of(rows, request.limit)

    async def project_deleted(self, event: peers.ProjectChanged, _: EventInfo) -> None:
        """Delete a project's rules, and what they told."""
        scope = {"account": event.account, "project": event.project}
        async with self._database.transaction(account=event.account) as tx:
            await tx.run(self._sql["delete_of_project"], **scope)
            await tx.run(self._sql["delete_ear_of_project"], **scope)
            await tx.run(self._sql["delete_events_of_project"], **scope)

    async def delete_all(self, account: str) -> int:
        """Delete all rules of an account, and what they told; say how many rules that were."""
        async with self._database.transaction(account=account) as tx:
            gone = await tx.run(self._sql["delete_of_account"], account=account)
            await tx.run(self._sql["delete_ears_of_account"], account=account)
            await tx.run(self._sql["delete_events_of_account"], account=account)
        return gone

    async def _find(self, account: str, project: str) -> None:
        await self._bus.request(peers.GET_PROJECT, peers.GetProject(account, project))

    async def _find_device(self, account: str, project: str, device: str) -> None:
        try:
            found = await self._bus.request(peers.GET_DEVICE, peers.OneDevice(account, device))
        except NotFound:
            found = None
        if found is None or found.project != project:
            wrong = FieldError("/device", "the project has no such device")
            raise Invalid(wrong.detail, errors=[wrong])

    async def _get(self, tx: Connection, account: str, rule: str) -> c.Rule:
        found = await tx.maybe(self._sql["get_rule"], c.Rule, account=account, rule=rule)
        if found is None:
            raise NotFound("no such alert rule")
        return found

    async def _lock(
        self, tx: Connection, account: str, rule: str, versions: tuple[str, ...] | None
    ) -> None:
        version = await tx.maybe(self._sql["lock_rule"], int, account=account, rule=rule)
        if version is None:
            raise NotFound("no such alert rule")
        if versions is not None and str(version) not in versions:
            raise PreconditionFailed("the alert rule has changed: read it again")
