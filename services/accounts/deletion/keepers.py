"""Everybody who keeps something of accounts, asked as one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
import structlog

from hub import Bus, Counts, Exported, OfAccount, Unavailable
from hub.account_data import count_contract, export_contract
from services.accounts import peers
from services.accounts.deletion.own import OwnData

_log = structlog.stdlib.get_logger(__name__)

OWN: Final = "accounts"
_PAGE: Final = 200
_PATIENCE: Final = 10.0


class Looked(msgspec.Struct, frozen=True):
    """What is known at this moment of what an account has.

    Args:
        counts: how many there are of what, at least.
        unknown: who keeps something of accounts and does not answer now: what is theirs, or hangs
            on it, is not all in `counts`.
    """

    counts: dict[str, int]
    unknown: list[str]


class Keepers:
    """Asks all who keep something of an account.

    Args:
        names: of them, in the order in which they are erased.
    """

    def __init__(self, bus: Bus, own: OwnData, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._bus = bus
        self._own = own

    async def of(self, account: str) -> OfAccount:
        """Find the projects and the integrations of an account.

        Raises:
            Unavailable: somebody who knows them does not answer.
        """
        projects = await self._projects(account)
        return OfAccount(account, projects, await self._integrations(account))

    async def _integrations(self, account: str) -> list[str]:
        own = peers.OwnIntegrations(account)
        return (await self._bus.request(peers.LIST_INTEGRATIONS, own)).ids

    async def _projects(self, account: str) -> list[str]:
        projects: list[str] = []
        after, more = 0, True
        while more:
            wanted = peers.ListProjects(account, _PAGE, after)
            page = await self._bus.request(peers.LIST_PROJECTS, wanted)
            projects += [project.id for project in page.items]
            after, more = page.items[-1].number if page.items else after, page.more
        return projects

    async def count(self, request: OfAccount) -> dict[str, dict[str, int]]:
        """Ask everybody how many of what there are, by who keeps them.

        Raises:
            Unavailable: somebody does not answer.
        """
        answers = await asyncio.gather(*(self._count(name, request) for name in self.names))
        own = await self._own.count(request)
        found = dict(zip(self.names, answers, strict=True)) | {OWN: own}
        return {name: counts.items for name, counts in found.items()}

    async def look(self, account: str) -> Looked:
        """Ask everybody, for people to look at: who does not answer now is named.

        Raises:
            Unavailable: nobody who knows the projects answers.
        """
        projects, integrations, unknown = await self._projects(account), list[str](), set[str]()
        try:
            integrations = await self._integrations(account)
        except Unavailable as error:
            _log.warning("not everything of an account was counted", reason=str(error))
            unknown.add(peers.LIST_INTEGRATIONS.subject.partition(".")[0])
        subject = OfAccount(account, projects, integrations)
        counted = [(await self._own.count(subject)).items]
        answers = await asyncio.gather(*(self._known(name, subject) for name in self.names))
        for name, items in zip(self.names, answers, strict=True):
            if items is None:
                unknown.add(name)
            else:
                counted.append(items)
        return Looked(_flat(counted), sorted(unknown))

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give what everybody has that is the account's own."""
        async for page in self._own.export(request):
            yield page
        for name in self.names:
            async for page in self._bus.stream(export_contract(name), request):
                yield page

    async def _count(self, name: str, request: OfAccount) -> Counts:
        return await self._bus.request(count_contract(name), request, timeout=_PATIENCE)

    async def _known(self, name: str, request: OfAccount) -> dict[str, int] | None:
        try:
            return (await self._count(name, request)).items
        except Unavailable as error:
            _log.warning("not everything of an account was counted", of=name, reason=str(error))
            return None


def _flat(counted: Sequence[dict[str, int]]) -> dict[str, int]:
    """Give all counts in one; those of one name from several add up."""
    found: dict[str, int] = {}
    for counts in counted:
        for name, number in counts.items():
            found[name] = found.get(name, 0) + number
    return found
