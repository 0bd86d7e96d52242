"""Taking personal values out of the log: the one thing that removes anything from it.

What goes are values whose commitments the entries keep, so every chain stands as before. Each
erasure is an entry itself and says which values it took: one that is missing without that is
found out by `verify`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from hub.audit.chain import GENESIS
from hub.audit.deeds import Deed, Erased, Written, write
from hub.database import Connection, Queries

_SQL: Final = Queries.load("hub.audit")
ERASED: Final = "audit.erased"


class _Place(msgspec.Struct, frozen=True):
    account: str
    seq: int


async def erase_account(tx: Connection, account: str) -> None:
    """Take all values of an account, and keep none from now on."""
    gone = await tx.run(_SQL["end_keeping"], account=account, hash=GENESIS)
    if not gone:
        return
    await _allow(tx, "yes")
    await tx.run(_SQL["erase_account"], account=account)
    await _allow(tx, "no")
    await tx.run(_SQL["erase_pending_account"], account=account)
    await tx.run(_SQL["drop_export"], account=account)
    await _tell(tx, _note(account, "The values of this log were erased", Erased(all=True)))


async def erase_person(tx: Connection, user: str, mentions: Sequence[str]) -> None:
    """Take the values of one person from every log."""
    words = [word for word in (user, *mentions) if word]
    await _allow(tx, "yes")
    origins = await tx.all(_SQL["erase_origins"], _Place, user=user)
    contents = await tx.all(_SQL["erase_contents"], _Place, user=user, mentions=words)
    await _allow(tx, "no")
    await tx.run(_SQL["erase_pending_person"], user=user, mentions=words)
    for account in sorted({place.account for place in (*origins, *contents)}):
        erased = Erased(
            origin=ranges(place.seq for place in origins if place.account == account),
            content=ranges(place.seq for place in contents if place.account == account),
        )
        await _tell(tx, _note(account, "What told of a person was erased", erased))


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Give numbers as ranges, from and to, in order."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


async def _allow(tx: Connection, allowed: str) -> None:
    """Let this transaction pass the trigger that refuses all others, or no more."""
    await tx.one(_SQL["allow_erasing"], str, allowed=allowed)


def _note(account: str, summary: str, erased: Erased) -> Written:
    return write(Deed(action=ERASED, summary=summary, account=account), erased=erased)


async def _tell(tx: Connection, written: Written) -> None:
    await tx.run(_SQL["tell"], **msgspec.structs.asdict(written))
