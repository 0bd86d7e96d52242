"""What the service `auth` keeps of an account: who its devices are, and their sessions."""

import secrets
from typing import Final

from hub import Counts, Database, Erased, OfAccount, Queries, Unavailable, export_nothing
from hub.broker import BrokerControl
from hub.mqtt import Mqtt
from hub.settings import MqttSettings
from services.auth.contracts import LiveSession, LiveSessions, SessionsOf
from services.auth.gate import Gate

_FLUSH: Final = 5.0  # seconds that the broker may take to confirm


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
        return await _count(self._database, request)

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


class RestingAccountOfAuth:
    """The same, where the service is switched off: the broker is told by whoever erases."""

    def __init__(self, mqtt_settings: MqttSettings, database: Database) -> None:
        self._mqtt_settings = mqtt_settings
        self._database = database

    export = staticmethod(export_nothing)

    async def count(self, request: OfAccount) -> Counts:
        """Count the keys of devices."""
        return await _count(self._database, request)

    async def erase(self, request: OfAccount) -> Erased:
        """Cut off and forget every device; a hub that never had any needs no broker.

        Raises:
            Unavailable: the broker does not answer.
        """
        if not any((await self.count(request)).items.values()):
            return Erased({})
        client = f"hub-{secrets.token_hex(8)}"
        async with Mqtt.connect(self._mqtt_settings, client=client) as mqtt:
            account = AccountOfAuth(self._database, BrokerControl(mqtt), Gate())
            erased = await account.erase(request)
            try:
                await mqtt.flush(_FLUSH)
            except TimeoutError:
                raise Unavailable("the broker does not confirm that they are cut off") from None
        return erased


async def _count(database: Database, request: OfAccount) -> Counts:
    sql = Queries.load("services.auth")
    async with database.transaction(account=request.account) as tx:
        found = await tx.one(sql["count_account"], int, account=request.account)
    return Counts({"device_keys": found})
