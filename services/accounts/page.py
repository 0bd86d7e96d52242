"""A page that a link of a mail leads to: what it does, and a button. There are no scripts."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub import Reply
from services.accounts.identity.contracts import Locale

HTML: Final = "text/html; charset=utf-8"
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class LinkPage:
    """Renders it."""

    def __init__(self) -> None:
        self._page = Environment(
            loader=PackageLoader("services.accounts.identity", "pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        ).get_template("link.html")

    def reply(
        self,
        lang: Locale,
        *,
        title: str,
        text: str,
        status: int = 200,
        button: str = "",
        name: str = "",
        password: str = "",
        email: str = "",
        problem: str = "",
    ) -> Reply:
        """Answer with the page.

        Args:
            button: what it says; "" for a page without one.
            name, password: labels of the fields that are asked for; "" for none.
            email: whose password it is to be, for who keeps passwords.
            problem: why what was sent did not do.
        """
        page = self._page.render(
            lang=lang, title=title, text=text, button=button, name=name, password=password,
            email=email, problem=problem,
        )  # fmt: skip
        return Reply(text=page, status=status, headers={"Content-Security-Policy": _POLICY})
