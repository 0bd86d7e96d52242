"""Recovery codes: ten, each good once, for whoever has lost their other factors."""

import base64
import hashlib
import secrets
from typing import Final

from hub import Connection, Queries, Secret

NUMBER: Final = 10
FEW: Final = 3
"""So many left, and the mail asks to make new ones."""
_BYTES: Final = 10  # 80 bits: no search finds one from its digest
_GROUP: Final = 4


class RecoveryCodes:
    """Makes and uses codes, in the caller's transaction (of the system)."""

    def __init__(self) -> None:
        self._sql = Queries.load("services.accounts.second_factors")

    async def renew(self, tx: Connection, user: str) -> tuple[Secret, ...]:
        """Make new codes; those that there were are good no more."""
        codes = [new_code() for _ in range(NUMBER)]
        await self.drop(tx, user)
        digests = [digest_of_code(user, code) for code in codes]
        await tx.run(self._sql["add_codes"], user=user, digests=digests)
        return tuple(map(Secret, codes))

    async def use(self, tx: Connection, user: str, code: Secret) -> bool:
        """Use a code up; False: it is not one of them."""
        digest = digest_of_code(user, code.reveal())
        return await tx.run(self._sql["use_code"], user=user, digest=digest) == 1

    async def left(self, tx: Connection, user: str) -> int:
        """Say how many are left."""
        return await tx.one(self._sql["count_codes"], int, user=user)

    async def drop(self, tx: Connection, user: str) -> None:
        """Let none be good any more."""
        await tx.run(self._sql["drop_codes"], user=user)


def new_code() -> str:
    """Make a code such as `k3fd-7qzm-a2xw-p5ne`."""
    letters = base64.b32encode(secrets.token_bytes(_BYTES)).decode().lower()
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))


def digest_of_code(user: str, code: str) -> bytes:
    """Give what is kept of a code, however it was typed; 0, 1 and 8 are read as letters."""
    typed = "".join(code.split()).replace("-", "").lower().translate(str.maketrans("018", "olb"))
    return hashlib.sha256(f"{user}\0{typed}".encode(errors="replace")).digest()
