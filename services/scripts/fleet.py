"""Scripts on their way to devices, and what these say of them."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from hub import Connection, Database, DeviceReply, Downlink, Due, EventInfo, Pusher, first_time
from hub.protocol import Known, MomentScript, Scripts, Session
from services.scripts.peers import DeviceEvent
from services.scripts.rules import SQL

KIND: Final = "scripts"
CONSUMER: Final = "scripts-devices"
KEPT_DAYS: Final = 30
MOST_KEPT: Final = 100
"""Results of each device."""


class _Target(msgspec.Struct, frozen=True):
    device: str
    project: str
    session: str
    version: int


class _Newest(MomentScript, frozen=True, kw_only=True):
    project: str


class ScriptsInStock:
    """Gives devices the scripts of their project, as they are now."""

    def __init__(self, database: Database, downlink: Downlink) -> None:
        self._database = database
        self._downlink = downlink

    async def behind(self, after: str, limit: int) -> list[Due]:
        """Give devices that are here and have other scripts."""
        async with self._database.system() as tx:
            return await tx.all(SQL["behind"], Due, after=after, limit=limit)

    async def send(self, sessions: Mapping[str, str]) -> list[Due]:
        """Send devices their scripts."""
        async with self._database.system() as tx:
            targets = await tx.all(SQL["targets"], _Target, devices=sorted(sessions))
            projects = sorted({one.project for one in targets})
            # Read after the versions: what is sent is never older than it says.
            rows = await tx.all(SQL["newest_of"], _Newest, projects=projects)
        scripts: dict[str, list[MomentScript]] = {}
        for row in rows:
            script = MomentScript(row.moment, row.version, row.body, row.timeout)
            scripts.setdefault(row.project, []).append(script)
        sent, encoded = [], dict[tuple[str, int], bytes]()
        for one in targets:
            if session := sessions[one.device] or one.session:
                what = (one.project, one.version)  # many devices get the same
                if what not in encoded:
                    newest = Scripts(one.version, scripts.get(one.project, []))
                    encoded[what] = msgspec.json.encode(newest)
                where = Session(one.project, one.device, session)
                self._downlink.send(where, KIND, encoded[what])
                sent.append(Due(one.device, session, one.version))
        return sent


class Fleet:
    """Keeps which devices there are, whether they are here, and what they ran."""

    def __init__(self, database: Database, downlink: Downlink, pusher: Pusher) -> None:
        self._database = database
        self._downlink = downlink
        self._pusher = pusher

    async def device_changed(self, event: DeviceEvent, info: EventInfo) -> None:
        """Take up what happened to a device; an event that comes twice does nothing twice."""
        scope = {"device": event.device, "account": event.account}
        behind: bool | None = None
        async with self._database.transaction(account=event.account) as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            match event.kind:
                case "registered" | "opened":
                    await tx.run(SQL["add_device"], project=event.project, **scope)
                    if event.kind == "opened":
                        behind = await tx.maybe(
                            SQL["open_session"], bool, session=event.session, **scope
                        )
                case "closed":
                    await tx.run(SQL["close_session"], session=event.session, **scope)
                case "revoked" | "dropped":
                    await tx.run(SQL["drop_device"], **scope)
        if behind:
            self._pusher.push([event.device])

    async def ran(self, results: Sequence[DeviceReply]) -> None:
        """Keep what devices ran, and let them forget what is kept."""
        async with self._database.system() as tx:
            # One that the events have not told of yet says it again.
            kept = [one for one in results if await self._keep(tx, one)]
        for one in kept:  # not before it is durable
            self._downlink.command(one.session, one.command, Known())

    async def _keep(self, tx: Connection, one: DeviceReply) -> bool:
        """Keep what a device ran; False where the device is not known."""
        ran, reply = one.reply.ran, one.reply
        where = {"device": one.session.device, "project": one.session.project}
        if ran is None or not await tx.one(SQL["knows_device"], bool, **where):
            return False
        await tx.run(
            SQL["add_ran"],
            id=one.command, moment=_clean(ran.moment), version=ran.version, status=reply.outcome,
            code=reply.code, output=_clean(reply.output), error=_clean(reply.error),
            seconds=reply.seconds, at=ran.at, **where,
        )  # fmt: skip
        await tx.run(SQL["drop_old_ran"], device=one.session.device, days=KEPT_DAYS, most=MOST_KEPT)
        return True


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd")  # Postgres holds none
