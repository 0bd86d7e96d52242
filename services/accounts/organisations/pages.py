"""The pages that the links of invitations, offers and deletions lead to: a GET changes nothing."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

import msgspec

from hub import Call, Conflict, Forbidden, Invalid, NotFound, Reply, Route, Secret
from services.accounts.deletion import contracts as d
from services.accounts.departure import contracts as p
from services.accounts.identity.contracts import Locale
from services.accounts.identity.errors import DeadLink
from services.accounts.identity.pages import LinkQuery
from services.accounts.organisations import invitation_contracts as c
from services.accounts.page import HTML, LinkPage
from services.accounts.tokens import digest_of

_WORDS: Final = resources.files("services.accounts.organisations") / "pages" / "words.json"


class JoiningForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a newcomer chooses; nobody else is asked."""

    name: str = ""
    password: Secret = Secret("")


AnyCall = Call[Any, LinkQuery]
_Show = tuple[Mapping[str, str], bool]
"""What the words are about, and whether it asks for a newcomer's name and password."""


class Deed(ABC):
    """What one kind of link does.

    Args:
        kind: of the link, in its path; words: of it, in `words.json`.
    """

    kind: str
    words: str

    @abstractmethod
    async def look(self, call: AnyCall, digest: str) -> _Show:
        """Say what it is about; nothing changes."""

    @abstractmethod
    async def act(self, call: AnyCall, digest: str) -> Mapping[str, str]:
        """Do it, and say what it was about."""


class Joining(Deed):
    """Accepts an invitation."""

    kind, words = "invitation", "invitation"

    async def look(self, call: AnyCall, digest: str) -> _Show:
        """Say who invites to what."""
        found = await call.bus.request(c.LOOK_AT_INVITATION, c.LookAtInvitation(digest))
        return _texts(found), not found.known

    async def act(self, call: AnyCall, digest: str) -> Mapping[str, str]:
        """Join."""
        form = call.body
        request = c.AcceptInvitation(digest, "", form.name, form.password, call.query.lang)
        joined = await call.bus.request(c.ACCEPT_INVITATION, request)
        return _texts(joined)


class Owning(Deed):
    """Accepts the offer of an account."""

    kind, words = "transfer", "transfer"

    async def look(self, call: AnyCall, digest: str) -> _Show:
        """Say who offers what."""
        found = await call.bus.request(c.LOOK_AT_TRANSFER, c.TransferLink(digest))
        return _texts(found), False

    async def act(self, call: AnyCall, digest: str) -> Mapping[str, str]:
        """Become owner."""
        owned = await call.bus.request(c.ACCEPT_TRANSFER, c.AcceptTransfer("", "", digest))
        return _texts(owned)


class Keeping(Deed):
    """Undoes the deletion of an account."""

    kind, words = "keep", "keep"

    async def look(self, call: AnyCall, digest: str) -> _Show:
        """Say which account it is about."""
        found = await call.bus.request(d.LOOK_AT_UNDO, d.UndoLink(digest))
        return _texts(found), False

    async def act(self, call: AnyCall, digest: str) -> Mapping[str, str]:
        """Let it go on."""
        undone = await call.bus.request(d.UNDO_BY_LINK, d.UndoLink(digest))
        return _texts(undone)


class Staying(Deed):
    """Undoes the deletion of a person."""

    kind, words = "stay", "stay"

    async def look(self, call: AnyCall, digest: str) -> _Show:
        """Say whom it is about."""
        found = await call.bus.request(p.LOOK_AT_STAY, p.StayLink(digest))
        return _texts(found), False

    async def act(self, call: AnyCall, digest: str) -> Mapping[str, str]:
        """Let them stay."""
        stays = await call.bus.request(p.STAY_BY_LINK, p.StayLink(digest))
        return _texts(stays)


DEEDS: Final = (Joining(), Owning(), Keeping(), Staying())


class DeedPage:
    """Answers the page of one kind of link."""

    def __init__(self, deed: Deed, words: Mapping[Locale, Mapping[str, Any]]) -> None:
        self._deed = deed
        self._words = words
        self._page = LinkPage()

    async def show(self, call: Call[None, LinkQuery]) -> Reply:
        """Answer the GET: what it does, and a button."""
        try:
            return await self._form(call)
        except DeadLink:
            return self._dead(call.query.lang)

    async def act(self, call: Call[JoiningForm, LinkQuery]) -> Reply:
        """Answer the POST: do it."""
        words = self._words[call.query.lang]
        try:
            about = await self._deed.act(call, _digest(call))
        except DeadLink:
            return self._dead(call.query.lang)
        except Invalid:
            return await self._form(call, problem=words["refused"])
        except (Conflict, Forbidden) as error:
            return await self._form(call, problem=words["not_now"].format(reason=error.detail))
        deed = words[self._deed.words]
        return self._page.reply(
            call.query.lang, title=deed["title"], text=deed["done"].format_map(about)
        )

    async def _form(self, call: AnyCall, problem: str = "") -> Reply:
        about, newcomer = await self._deed.look(call, _digest(call))
        words = self._words[call.query.lang]
        deed = words[self._deed.words]
        return self._page.reply(
            call.query.lang,
            status=422 if problem else 200,
            title=deed["title"],
            text=deed["about"].format_map(about),
            button=deed["button"],
            name=words["name"] if newcomer else "",
            password=words["password"] if newcomer else "",
            email=about.get("email", ""),
            problem=problem,
        )

    def _dead(self, lang: Locale) -> Reply:
        dead = self._words[lang]["dead"]
        return self._page.reply(lang, status=404, title=dead["title"], text=dead["about"])


def _texts(about: msgspec.Struct) -> Mapping[str, str]:
    return {name: str(value) for name, value in msgspec.structs.asdict(about).items()}


def _digest(call: AnyCall) -> str:
    return digest_of(call.path["link"]).hex()


def routes() -> list[Route[Any, Any]]:
    """Give the routes of the pages."""
    words = msgspec.json.decode(_WORDS.read_bytes(), type=dict[Locale, dict[str, Any]])
    found: list[Route[Any, Any]] = []
    for deed in DEEDS:
        page, path = DeedPage(deed, words), f"/links/{deed.kind}/{{link}}"
        found += [
            Route(
                method="GET", path=path, summary=f"Show what a link does ({deed.kind})",
                tag="links", handler=page.show, permission=None, anonymous=True,
                secret_path=True, query=LinkQuery, texts=(HTML,), errors=(DeadLink, NotFound),
                description="A page for people. Looking changes nothing.",
            ),
            Route(
                method="POST", path=path, summary=f"Do what a link is for ({deed.kind})",
                tag="links", handler=page.act, permission=None, anonymous=True,
                secret_path=True, form=True, body=JoiningForm, query=LinkQuery, texts=(HTML,),
                errors=(DeadLink, NotFound), description="What the page's button does.",
            ),
        ]  # fmt: skip
    return found
