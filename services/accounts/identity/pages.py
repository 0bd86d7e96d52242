"""The pages that links in mails lead to: they show what a link does, and a button that does it.

Programs that look at mails before people do follow every link: a GET changes nothing. There are no
scripts, and the path, which holds the token, is never logged or sent to anybody else.
"""

from importlib import resources
from typing import Any, Final, get_args

import msgspec

from hub import Call, Invalid, NotFound, Reply, Route, Secret
from services.accounts.identity import contracts as c
from services.accounts.identity.errors import DeadLink
from services.accounts.page import HTML, LinkPage
from services.accounts.tokens import digest_of

LINK: Final = "/links/{kind}/{link}"
KINDS: Final[tuple[c.LinkKind, ...]] = get_args(c.LinkKind)


class LinkQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reader's language."""

    lang: c.Locale = "en"


class LinkForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page's form sends: the new password, where that is what the link is for."""

    password: Secret = Secret("")


class _Dead(msgspec.Struct, frozen=True):
    """What is said of a link that is not good."""

    title: str
    about: str


class _Deed(msgspec.Struct, frozen=True):
    """What is said of a kind of link, before and after; `{email}` is the address."""

    title: str
    about: str
    button: str
    done: str


class _Words(msgspec.Struct, frozen=True):
    """All words in one language."""

    dead: _Dead
    verify: _Deed
    reset: _Deed
    unlock: _Deed
    email: _Deed
    password: str
    refused: str

    def of(self, kind: c.LinkKind) -> _Deed:
        """Give the words about a kind of link."""
        deed: _Deed = getattr(self, kind)
        return deed


class LinkPages:
    """Answers the pages."""

    def __init__(self) -> None:
        words = resources.files("services.accounts.identity") / "pages" / "words.json"
        self._words = msgspec.json.decode(words.read_bytes(), type=dict[c.Locale, _Words])
        self._page = LinkPage()

    async def show(self, call: Call[None, LinkQuery]) -> Reply:
        """Answer `GET /links/{kind}/{link}`: what it does, and a button."""
        kind = _kind(call)
        try:
            link = await call.bus.request(c.GET_LINK, c.OneLink(kind, _digest(call)))
        except DeadLink:
            return self._dead(call.query.lang)
        return self._form(call.query.lang, link)

    async def act(self, call: Call[LinkForm, LinkQuery]) -> Reply:
        """Answer `POST /links/{kind}/{link}`: do it."""
        kind, lang = _kind(call), call.query.lang
        request = c.UseLink(kind, _digest(call), call.body.password)
        try:
            await call.bus.request(c.USE_LINK, request)
        except DeadLink:
            return self._dead(lang)
        except Invalid:
            link = await call.bus.request(c.GET_LINK, c.OneLink(kind, request.digest))
            return self._form(lang, link, problem=self._words[lang].refused)
        deed = self._words[lang].of(kind)
        return self._page.reply(lang, title=deed.title, text=deed.done)

    def _form(self, lang: c.Locale, link: c.Link, problem: str = "") -> Reply:
        words = self._words[lang]
        deed = words.of(link.kind)
        return self._page.reply(
            lang,
            status=422 if problem else 200,
            title=deed.title,
            text=deed.about.format(email=link.email),
            button=deed.button,
            password=words.password if link.kind == "reset" else "",
            email=link.email,
            problem=problem,
        )

    def _dead(self, lang: c.Locale) -> Reply:
        dead = self._words[lang].dead
        return self._page.reply(lang, status=404, title=dead.title, text=dead.about)


def _kind(call: Call[Any, Any]) -> c.LinkKind:
    for kind in KINDS:
        if call.path["kind"] == kind:
            return kind
    raise NotFound("there are no such links")


def _digest(call: Call[Any, Any]) -> str:
    return digest_of(call.path["link"]).hex()


def routes() -> list[Route[Any, Any]]:
    """Give the routes of the pages."""
    pages = LinkPages()
    return [
        Route(
            method="GET", path=LINK, summary="Show what a link of a mail does", tag="links",
            handler=pages.show, permission=None, anonymous=True, secret_path=True,
            query=LinkQuery, texts=(HTML,), errors=(DeadLink,),
            description="A page for people. Looking changes nothing.",
        ),
        Route(
            method="POST", path=LINK, summary="Do what a link of a mail is for", tag="links",
            handler=pages.act, permission=None, anonymous=True, secret_path=True, form=True,
            body=LinkForm, query=LinkQuery, texts=(HTML,), errors=(DeadLink,),
            description="What the page's button does.",
        ),
    ]  # fmt: skip
