"""Known devices: where somebody has logged in before, told by a cookie of its own."""

from typing import Final

from hub import Connection, Queries, Vault
from hub.ids import new

_MOST: Final = 20
"""Devices of a person; beyond it those are forgotten that were used once, and longest ago."""


class Devices:
    """Knows the devices of each person; each has its own count of attempts."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._sql = Queries.load("services.accounts.identity", "people.sql")

    def attempts_key(self, device: str) -> bytes:
        """Give what attempts from a device are counted by."""
        return self._vault.keyed("attempts of a device", device)

    async def note(self, tx: Connection, user: str, known: str | None, new_digest: str) -> None:
        """Note where somebody logs in from.

        Args:
            known: id of the device, if it is one that is known.
            new_digest: of the cookie that it gets otherwise.
        """
        if known is not None:
            await tx.run(self._sql["see_device"], device=known)
            return
        digest = bytes.fromhex(new_digest)
        await tx.run(self._sql["add_device"], id=new("kdv"), user=user, digest=digest)
        await tx.run(self._sql["bound_devices"], user=user, most=_MOST)

    async def keys_of(self, tx: Connection, user: str) -> list[bytes]:
        """Give what the attempts from all devices of a person are counted by."""
        devices = await tx.all(self._sql["devices_of"], str, user=user)
        return [self.attempts_key(device) for device in devices]

    async def forget(self, tx: Connection, user: str, *, but: str = "") -> None:
        """Forget the devices of a person, but the one with this digest."""
        await tx.run(self._sql["forget_devices"], user=user, keep=bytes.fromhex(but))
