"""Walking a chain: it holds, or here is the first entry that does not fit and what is wrong."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from hub.audit.chain import START, Entry, Head, digest
from hub.audit.deeds import PARTS, Erased, Part
from hub.audit.records import Record
from hub.database import Connection, Database, Queries

_SQL: Final = Queries.load("hub.audit")
_PAGE: Final = 500


class Verdict(msgspec.Struct, frozen=True):
    """What came of a walk.

    Args:
        head: of the chain as far as it holds.
        fault: what is wrong; "" when nothing is.
        erased: how many values were taken out, as the chain itself says.
    """

    account: str
    head: Head
    fault: str = ""
    erased: int = 0


class _Head(msgspec.Struct, frozen=True):
    account: str
    seq: int
    hash: bytes


class _Row(Record, frozen=True):
    """A record, and whether all columns say what its text says."""

    faithful: bool


class _Broken(Exception):  # noqa: N818 - the outcome of a walk
    """The chain does not hold; the text says why."""


async def accounts(database: Database) -> list[str]:
    """Give every account that has a log."""
    async with database.system() as tx:
        return await tx.all(_SQL["accounts"], str)


async def heads(database: Database) -> dict[str, Head]:
    """Give where each chain is said to end."""
    async with database.system() as tx:
        rows = await tx.all(_SQL["all_heads"], _Head)
    return {row.account: Head(row.seq, row.hash) for row in rows}


async def verify(database: Database, account: str, known: Head | None = None) -> Verdict:
    """Walk an account's chain from its beginning, in one view of the database.

    Args:
        known: a head that was taken earlier and kept elsewhere: whoever owns the database can cut
            a chain short, or write it anew, and only this tells.
    """
    walk = _Walk(account, known)
    async with database.system() as tx:
        await tx.raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        try:
            async for row in _rows(tx, account):
                await walk.step(tx, row)
            walk.end(await tx.maybe(_SQL["head"], _Head, account=account))
        except _Broken as broken:
            return Verdict(account, walk.head, str(broken))
    return Verdict(account, walk.head, erased=walk.erased)


async def _rows(tx: Connection, account: str) -> AsyncIterator[_Row]:
    after = 0
    while True:
        page = await tx.all(_SQL["walk"], _Row, account=account, after=after, limit=_PAGE)
        for row in page:
            yield row
        if len(page) < _PAGE:
            return
        after = page[-1].seq


class _Walk:
    """One walk: what it has come to, and what it has yet to see explained."""

    def __init__(self, account: str, known: Head | None) -> None:
        self.head = START
        self._account = account
        self._known = known
        self._missing: dict[Part, list[int]] = {part: [] for part in PARTS}
        self._erasures: list[Erased] = []

    @property
    def erased(self) -> int:
        """How many values are gone."""
        return sum(map(len, self._missing.values()))

    async def step(self, tx: Connection, row: _Row) -> None:
        """Take the next entry.

        Raises:
            _Broken: it does not fit.
        """
        entry = _read(row)
        if row.seq != self.head.seq + 1:
            raise _Broken(f"entry {self.head.seq + 1} is missing: the next one is {row.seq}")
        if row.previous != self.head.hash:
            other = await tx.maybe(_SQL["with_hash"], int, account=self._account, hash=row.previous)
            raise _Broken(
                f"entry {row.seq} does not follow entry {self.head.seq}: "
                + ("that one was replaced" if other is None else f"it follows entry {other}")
            )
        self._check_values(row, entry)
        self.head = Head(row.seq, row.hash)
        if entry.erased is not None:
            self._erasures.append(entry.erased)
        if self._known and self._known.seq == row.seq and self._known.hash != row.hash:
            raise _Broken(f"entry {row.seq} is another than when its head was taken")

    def end(self, said: "_Head | None") -> None:
        """See whether this is where the chain ends.

        Args:
            said: the head as the database has it.

        Raises:
            _Broken: something is missing at the end, or was taken out without a word.
        """
        for part in PARTS:
            for seq in self._missing[part]:
                if not any(_took(erasure, part, seq) for erasure in self._erasures):
                    raise _Broken(f"the {part} of entry {seq} is missing, and no erasure took it")
        if self._known and self._known.seq > self.head.seq:
            raise _Broken(_cut_short(self.head, self._known))
        if said is None and self.head.seq:
            raise _Broken("the chain has lost its head")
        if said is not None and said.seq > self.head.seq:
            raise _Broken(_cut_short(self.head, Head(said.seq, said.hash)))
        if said is not None and (said.seq, said.hash) != (self.head.seq, self.head.hash):
            raise _Broken(f"the head says {said.seq} entries, and is not that of the last one")

    def _check_values(self, row: _Row, entry: Entry) -> None:
        there = {value.part: value for value in row.values()}
        for part in PARTS:
            value, commitment = there.get(part), entry.commitment(part)
            if value is None and commitment:
                self._missing[part].append(entry.seq)
            elif value is not None and value.commitment != commitment:
                raise _Broken(f"the {part} of entry {entry.seq} was changed")


def _read(row: _Row) -> Entry:
    """Read an entry that is what it was, and where it was.

    Raises:
        _Broken: it is not.
    """
    if digest(row.previous, row.text) != row.hash:
        raise _Broken(f"entry {row.seq} was changed: its hash is not that of its text")
    try:
        entry = row.entry()
    except msgspec.DecodeError as error:
        raise _Broken(f"entry {row.seq} cannot be read: {error}") from None
    if entry.seq != row.seq:
        raise _Broken(f"entry {entry.seq} was moved to the place of entry {row.seq}")
    if not row.faithful:
        raise _Broken(f"entry {row.seq} was changed: its columns are not those of its text")
    return entry


def _took(erasure: Erased, part: Part, seq: int) -> bool:
    places = erasure.origin if part == "origin" else erasure.content
    return erasure.all or any(first <= seq <= last for first, last in places)


def _cut_short(head: Head, said: Head) -> str:
    return f"entries {head.seq + 1} to {said.seq} are missing: the chain was cut short"
