"""What the service `auth` keeps of an account: who its devices are, and their sessions."""

from hub import Counts, Database, Erased, OfAccount, Queries, export_nothing
from hub.broker import BrokerControl
from services.auth.contracts import LiveSession, LiveSessions, SessionsOf
from services.auth.gate import Gate


class AccountOfAuth:
    """An account's devices, as they prove themselves; nothing of it is fit to be taken along.

    Args:
        gate: is passed by whoever changes single entries of the broker's tables.
    """

    def __init__(self, database: Database, control: BrokerControl, gate: Gate) -> None:
        self._database = database
        self._control = control
        self._gate = gate
        self._sql = Queries.load("services.auth")

    export = staticmethod(export_nothing)

    async def count(self, request: OfAccount) -> Counts:
        """Count the keys of devices."""
        async with self._database.transaction(account=request.account) as tx:
            found = await tx.one(self._sql["count_account"], int, account=request.account)
        return Counts({"device_keys": found})

    async def sessions(self, request: SessionsOf) -> LiveSessions:
        """Give the live sessions of some devices."""
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                self._sql["sessions_of"],
                LiveSession,
                account=request.account,
                devices=request.devices,
            )
        return LiveSessions(rows)

    async def erase(self, request: OfAccount) -> Erased:
        """Cut all devices off, and forget who they are."""
        async with self._gate.passing():
            async with self._database.transaction(account=request.account) as tx:
                gone = await tx.all(self._sql["drop_account"], str, account=request.account)
            for device in gone:
                self._control.unsession(device)
        return Erased({"device_keys": len(gone)} if gone else {})
