"""Dead letters for people: listed, read, fixed, dropped."""

import asyncio
import base64
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import nats.errors
from nats.aio.client import Client

from hub.errors import Invalid, NotFound, Unavailable
from hub.relay.books import Owner
from hub.relay.contracts import (
    Counted,
    DeadLetter,
    DeadLetters,
    FixDead,
    ListDead,
    OneDead,
    SomeDead,
)
from hub.relay.dead_letters import DEVICE, REASON, STREAM
from hub.relay.hosts import HostNames
from hub.relay.keeping import Keeping
from hub.relay.letter_box import DIED, Letter, LetterBox, carried, count_subjects
from hub.relay.letter_content import Content, fixed
from hub.relay.stored import FIXES, HOST, RECEIVED
from hub.relay.streams import REPLAY, dead_subject, replay_subject
from hub.times import rfc3339

MAX_LIMIT: Final = 200
_GROUP: Final = 200  # letters that are taken out at a time
_BUDGET: Final = 20.0  # seconds that dropping goes on for; then it says that there is more


class Letters:
    """Answers `relay.dead.list`, `.get`, `.fix` and `.drop`.

    Args:
        kept: who holds how many, and what is lost of them.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        nats: Client,
        hosts: HostNames,
        kept: Keeping,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._hosts = hosts
        self._locks = kept.locks
        self._kept = kept
        self._clock = clock

    # ── looking ───────────────────────────────────────────────────────────────────────────────

    async def page(self, request: ListDead) -> DeadLetters:
        """Give a page, oldest first.

        Raises:
            Unavailable: JetStream does not answer. This holds for all that is asked here.
        """
        if not 1 <= request.limit <= MAX_LIMIT:
            raise Invalid(f"limit is 1 to {MAX_LIMIT}")
        box = self._box(request.project, request.source)
        items: list[DeadLetter] = []
        more = False
        try:
            async with aclosing(box.walk(after=request.after)) as letters:
                async for letter in letters:
                    if len(items) == request.limit:
                        more = True
                        break
                    items.append(await self._show(request, letter, whole=False))
            lost = self._kept.losses.of(Owner(request.project, request.source))
            return DeadLetters(items, more, await box.count(), lost.letters)
        except nats.errors.Error as error:
            raise unavailable() from error

    async def get(self, request: OneDead) -> DeadLetter:
        """Give one with its lines.

        Raises:
            NotFound: there is none of this id.
        """
        try:
            box = self._box(request.project, request.source)
            return await self._show(request, await found(box, request.id), whole=True)
        except nats.errors.Error as error:
            raise unavailable() from error

    async def counts(self, integrations: list[str]) -> dict[str, int]:
        """Say how many each of these has, at once; none while JetStream does not answer."""
        try:
            counted = await asyncio.gather(*(self._count(one) for one in integrations))
        except nats.errors.Error:
            return {}
        return dict(zip(integrations, counted, strict=True))

    async def _count(self, integration: str) -> int:
        plain = dead_subject("*", integration)
        counted = await count_subjects(self._nats, plain)
        fixed = await count_subjects(self._nats, f"{plain}.fixed.*")
        return sum(counted.values()) + len(fixed)

    async def _show(self, wanted: ListDead | OneDead, letter: Letter, *, whole: bool) -> DeadLetter:
        headers, content = letter.headers, Content.of(letter)
        device = headers.get(DEVICE, "")
        host = headers.get(HOST, "")
        if device and not host:
            host = (await self._hosts.look_up(wanted.project, [device]))[device]
        received = int(headers.get(RECEIVED, "0"))
        return DeadLetter(
            id=str(letter.place),
            source=wanted.source,
            reason=headers.get(REASON, ""),
            device=device,
            host=host,
            stream=headers.get(STREAM, ""),
            at=rfc3339(letter.died),
            received=rfc3339(received) if received else "",
            count=content.count,
            lines=content.lines() if whole else [],
            raw=base64.b64encode(letter.payload).decode()
            if whole and content.decoded is None
            else "",
        )

    # ── changing ──────────────────────────────────────────────────────────────────────────────

    async def fix(self, request: FixDead) -> DeadLetter:
        """Replace the texts of a letter's lines; it keeps its place.

        Raises:
            NotFound: there is none of this id.
            Invalid: there is not one text for each line, or one is too long.
        """
        box = self._box(request.project, request.source)
        try:
            async with self._locks.of(request.source):
                letter = await found(box, request.id)
                headers = carried(letter) | {FIXES: str(letter.place), DIED: str(letter.died)}
                ack = await self._js.publish(
                    box.fixed_subject(letter.place),
                    fixed(letter, request.messages),
                    headers=headers,
                )
                await box.supersede(letter, ack.seq)
        except nats.errors.Error as error:
            raise unavailable() from error
        return await self.get(OneDead(request.project, request.source, request.id))

    async def drop(self, request: SomeDead) -> Counted:
        """Take letters out for good.

        Raises:
            NotFound: there is none of one of these ids.
        """
        box = self._box(request.project, request.source)
        try:
            async with self._locks.of(request.source):
                if request.ids is None:
                    done = await self._drop_all(box)
                    if request.gone and not done.more:
                        await self._kept.losses.forget(request.source, request.project)
                    return done
                letters = [await found(box, one) for one in request.ids]
                await box.remove(letters)
        except nats.errors.Error as error:
            raise unavailable() from error
        return Counted(len(letters), sum(Content.of(letter).count for letter in letters))

    def _box(self, project: str, source: str) -> LetterBox:
        return LetterBox(self._nats, project, source, self._kept.dead)

    async def _drop_all(self, box: LetterBox) -> Counted:
        count = lines = 0
        until = await box.last()
        deadline = self._clock() + _BUDGET
        group: list[Letter] = []
        async with aclosing(box.walk(until=until)) as letters:
            async for letter in letters:
                count, lines = count + 1, lines + Content.of(letter).count
                group.append(letter)
                if len(group) == _GROUP:
                    await box.remove_until(group)
                    group = []
                    if self._clock() > deadline:
                        return Counted(count, lines, more=True)
        if group:
            await box.remove_until(group)
        return Counted(count, lines)

    async def forget(self, integration: str) -> None:
        """Take all letters and replays of an integration out that is no more.

        Raises:
            Unavailable: JetStream does not answer, or Postgres does not.
        """
        await self._kept.losses.forget(integration)
        try:
            await self._box("*", integration).clear()
            await self._js.purge_stream(REPLAY, subject=replay_subject("*", integration))
        except nats.errors.Error as error:
            raise unavailable() from error


async def found(box: LetterBox, identifier: str) -> Letter:
    """Give a letter by its id.

    Raises:
        NotFound: there is none.
    """
    letter = await box.find(identifier)
    if letter is None:
        raise NotFound("no such dead letter")
    return letter


def unavailable() -> Unavailable:
    """Say that JetStream does not answer."""
    return Unavailable("the dead letters cannot be reached now")
