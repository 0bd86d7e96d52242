"""The pages of the reference: plain HTML with a style sheet and a small script of our own."""

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hub.gateway.answers import Answer
from hub.gateway.openapi.schemas import JsonObject
from hub.gateway.problems import ProblemPage
from hub.gateway.reference.operations import Operation, operations_of, slug
from hub.gateway.routing import Table
from hub.permissions import Permissions, Role
from hub.settings import HttpSettings

HTML: Final = "text/html; charset=utf-8"
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_FILES: Final = {
    "reference.css": "text/css; charset=utf-8",
    "reference.js": "text/javascript; charset=utf-8",
}
_CODE = re.compile(r"`([^`]+)`")


class Reference:
    """Makes the pages, each when it is first asked for.

    Args:
        table, document, permissions, problems: what the API is.
        settings: whose limits are told.
    """

    def __init__(
        self,
        table: Table,
        document: JsonObject,
        permissions: Permissions,
        problems: Mapping[str, ProblemPage],
        settings: HttpSettings,
    ) -> None:
        self._table = table
        self._document = document
        self._permissions = permissions
        self._problems = sorted(problems.values(), key=lambda page: (page.status, page.type))
        self._settings = settings
        self._made: dict[str, Answer] = {}

    def page(self, name: str) -> Answer | None:
        """Give a page or file; "" is the first page, and None one that there is not."""
        if name not in self._made:
            made = self._make(name)
            if made is None:
                return None
            self._made[name] = made
        return self._made[name]

    def _make(self, name: str) -> Answer | None:
        if name in _FILES:
            content = resources.files(__package__).joinpath("pages", name).read_bytes()
            return _answer(content, _FILES[name])
        match name:
            case "":
                return self._page("overview.html", "Overview", limits=self._settings)
            case "permissions":
                return self._page(
                    "permissions.html", "Roles and permissions",
                    permissions=self._permissions.table(), roles=[*Role],
                )  # fmt: skip
            case "problems":
                return self._page("problems.html", "Problems", problems=self._problems)
        for tag, operations in self._groups.items():
            if slug(tag) == name:
                return self._page("group.html", _titled(tag), operations=operations)
        return None

    def _page(self, template: str, title: str, **values: Any) -> Answer:
        content = (
            _templates()
            .get_template(template)
            .render(
                title=title,
                groups=self._groups,
                version=self._document["info"]["version"],
                **values,
            )
        )
        return _answer(content.encode(), HTML)

    @functools.cached_property
    def _groups(self) -> dict[str, list[Operation]]:
        """The operations by tag."""
        groups: dict[str, list[Operation]] = {}
        for one in operations_of(self._table, self._document, self._permissions):
            groups.setdefault(one.tag, []).append(one)
        return dict(sorted(groups.items()))


def _answer(content: bytes, media: str) -> Answer:
    headers = {
        "Content-Type": media,
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        # It may be kept, and is asked for again: a hub that was updated tells of itself.
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:24]}"',
    }
    return Answer(200, headers, content)


@functools.cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("hub.gateway.reference", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "slug": slug, "titled": _titled, "listed": _listed}
    return environment


def _prose(text: str) -> Markup:
    """Show a text of a declaration: what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


def _titled(tag: str) -> str:
    return tag[:1].upper() + tag[1:]


def _listed(words: Iterable[str]) -> str:
    """Join words as people do."""
    *some, last = words
    return f"{', '.join(some)} and {last}" if some else last
