"""The local outbox as pages, for this very machine: its mails hold links that work."""

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub import Call, NoQuery, NotFound, Nothing, Reply, Route
from services.mail import contracts as c
from services.mail.store import MOST_KEPT

HERE: Final = "/outbox"
HTML: Final = "text/html; charset=utf-8"

_NOTHING_ELSE: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"
_PAGE: Final = {
    "Content-Security-Policy": f"{_NOTHING_ELSE}; form-action 'none'; frame-src 'self'; "
    "frame-ancestors 'none'"
}
# A mail is shown as if by a stranger: no script, no origin, no form; its links open elsewhere.
_FRAME: Final = {
    "Content-Security-Policy": f"{_NOTHING_ELSE}; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
}


class OutboxPages:
    """Answers the pages."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("services.mail", "pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )

    async def heads(self, call: Call[None, NoQuery]) -> Reply:
        """Answer `GET /outbox`."""
        found = await call.bus.request(c.OUTBOX, Nothing())
        return self._page("list.html", heads=found.items, most=MOST_KEPT)

    async def mail(self, call: Call[None, NoQuery]) -> Reply:
        """Answer `GET /outbox/{mail}`."""
        return self._page("mail.html", mail=await _mail(call))

    async def html(self, call: Call[None, NoQuery]) -> Reply:
        """Answer `GET /outbox/{mail}/html`: what `mail` shows in a frame."""
        return Reply(text=(await _mail(call)).html, headers=_FRAME)

    def _page(self, name: str, **values: Any) -> Reply:
        template = self._environment.get_template(name)
        return Reply(text=template.render(here=HERE, **values), headers=_PAGE)


async def _mail(call: Call[None, NoQuery]) -> c.MailShown:
    return await call.bus.request(c.OUTBOX_MAIL, c.OneMail(call.path["mail"]))


def routes() -> list[Route[Any, Any]]:
    """Give the routes of the outbox."""
    pages = OutboxPages()
    return [
        Route(
            method="GET", path=HERE, summary="Show the mails that stay here", tag="outbox",
            handler=pages.heads, permission=None, local=True, texts=(HTML,), errors=(NotFound,),
            description="A page for people, on the hub's own machine, while no mail server is "
            "configured.",
        ),
        Route(
            method="GET", path=f"{HERE}/{{mail}}", summary="Show such a mail", tag="outbox",
            handler=pages.mail, permission=None, local=True, texts=(HTML,), errors=(NotFound,),
        ),
        Route(
            method="GET", path=f"{HERE}/{{mail}}/html", summary="Show such a mail's HTML",
            tag="outbox", handler=pages.html, permission=None, local=True, texts=(HTML,),
            errors=(NotFound,),
        ),
    ]  # fmt: skip
