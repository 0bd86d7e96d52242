"""`/docs`: complete, true, for everyone to read, and whole without anybody else's server."""

import datetime as dt
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import msgspec
import pytest

from hub import hookimpl
from hub.gateway.problems import describe_problems
from hub.gateway.reference.fields import Reader
from hub.gateway.reference.operations import slug
from hub.gateway.reference.site import POLICY, Reference
from hub.permissions import SIGNED_IN, Role
from hub.routes import Call, Deprecated, NoQuery, Reply, Route
from hub.settings import HttpSettings
from tests.contract.test_every_route import DOCUMENT, PERMISSIONS, ROUTES, TABLE
from tests.fixtures.gateway import RunSite, Site, Tick
from tests.fixtures.html import Element, Page

SHOWN = [route for route in ROUTES if route.path.startswith("/api/")]
TAGS = sorted({route.tag for route in SHOWN})
NAMES = ["", "permissions", "problems", *map(slug, TAGS)]


@pytest.fixture(scope="module")
def reference() -> Reference:
    problems = describe_problems(error for route in ROUTES for error in route.errors)
    return Reference(TABLE, DOCUMENT, PERMISSIONS, problems, HttpSettings())


@pytest.fixture(scope="module")
def pages(reference: Reference) -> dict[str, Element]:
    """Every page, by its address."""
    found = {}
    for name in NAMES:
        made = reference.page(name)
        assert made is not None
        found[f"/docs/{name}".rstrip("/")] = Page(made.body.decode()).root
    return found


def articles(pages: dict[str, Element]) -> dict[str, Element]:
    """Give what is said of each operation, by its method and path."""
    found = {}
    for page in pages.values():
        for one in page.all("article"):
            path = next(p for p in one.all("p") if "path" in p.classes)
            found[" ".join(path.text.split())] = one
    return found


def test_every_operation_is_there_with_all_that_it_declares(pages: dict[str, Element]) -> None:
    found = articles(pages)
    assert set(found) == {f"{route.method} {route.path}" for route in SHOWN}
    for route in SHOWN:
        shown = found[f"{route.method} {route.path}"]
        assert route.summary in shown.text
        who = "anyone" if route.permission is None else route.permission
        assert ("valid credential" if who == SIGNED_IN.name else who) in shown.text
        named = {dt.text.split()[0] for dt in shown.all("dt")}
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert {one["name"] for one in operation["parameters"]} <= named
        if route.body is not None:
            assert {one.encode_name for one in msgspec.structs.fields(route.body)} <= named
        assert len([*shown.all("pre")]) == max(1, len(route.examples))
        for error in route.errors:
            assert error.code in shown.text


def test_permissions_and_problems_are_there(pages: dict[str, Element]) -> None:
    rows = {
        row.attributes["id"]: row for row in pages["/docs/permissions"].all("tr") if row.attributes
    }
    assert set(rows) == {one.name for one in PERMISSIONS.table()}
    yes = [one.attributes["aria-label"] for one in rows["devices:write"].all("span")]
    assert dict(zip(Role, yes, strict=True)) == {
        "owner": "yes", "admin": "yes", "developer": "yes", "viewer": "no", "billing": "no",
    }  # fmt: skip
    listed = {one.attributes.get("id") for one in pages["/docs/problems"].all("div")}
    assert {"not-found", "too-many-requests", "invalid"} <= listed


def test_every_link_leads_somewhere_on_this_hub(pages: dict[str, Element]) -> None:
    """Nothing is asked of another server, by a link, a style sheet, a script or an image."""
    places = {
        address: {one.attributes["id"] for one in page.all() if "id" in one.attributes}
        for address, page in pages.items()
    }
    known = {*places, "/openapi.json", "/docs/reference.css", "/docs/reference.js"}
    for address, page in pages.items():
        for one in page.all():
            for name in ("href", "src"):
                if name in one.attributes:
                    target, _, anchor = one.attributes[name].partition("#")
                    assert (target or address) in known, one.attributes[name]
                    assert not anchor or anchor in places[target or address], one.attributes[name]
            assert one.tag not in {"img", "iframe", "form", "style", "object"}
            assert not any(n == "style" or n.startswith("on") for n in one.attributes)
            assert one.tag != "script" or (one.attributes["src"] and not one.text.strip())


def test_files_ask_for_nothing_either(reference: Reference) -> None:
    for name in ("reference.css", "reference.js"):
        made = reference.page(name)
        assert made is not None
        assert not re.search(rb"https?:|//[a-z]|@import|url\(|fetch|XMLHttp|innerHTML", made.body)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_be_read_without_seeing_it(name: str, pages: dict[str, Element]) -> None:
    """Landmarks, names, headings in order, ids once, tables with headers."""
    page = pages[f"/docs/{name}".rstrip("/")]
    assert next(page.all("html")).attributes["lang"] == "en"
    assert next(page.all("title")).text.endswith(" · Isaax API")
    assert "width=device-width" in next(
        one.attributes["content"]
        for one in page.all("meta")
        if one.attributes.get("name") == "viewport"
    )
    main, nav = next(page.all("main")), next(page.all("nav"))
    assert (len([*page.all("main")]), len([*main.all("h1")])) == (1, 1)
    assert nav.attributes["aria-label"]
    skip = next(one for one in page.all("a"))
    assert skip.attributes["href"] == f"#{main.attributes['id']}", "the first thing is to skip"
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(set(ids)) == len(ids)
    levels = [int(one.tag[1]) for one in main.all() if re.fullmatch("h[1-6]", one.tag)]
    assert all(new <= old + 1 for old, new in zip([0, *levels], levels, strict=False))
    for one in page.all():
        if one.tag in {"a", "button", "summary"}:
            assert one.text.strip() or one.attributes.get("aria-label")
        if one.tag == "th":
            assert one.attributes["scope"] in {"col", "row"}
        if one.tag == "pre" or "scroll" in one.classes:  # what scrolls can be scrolled by keys
            assert one.attributes["tabindex"] == "0"
            assert one.attributes["aria-label"]
    current = [a for a in nav.all("a") if a.attributes.get("aria-current") == "page"]
    assert len(current) == 1


def _luminance(color: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _palettes() -> Iterator[dict[str, str]]:
    css = resources.files("hub.gateway.reference").joinpath("pages", "reference.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", css, re.S):
        yield dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


@pytest.mark.parametrize("palette", [*_palettes()], ids=["light", "dark"])
def test_words_stand_out_in_both_palettes(palette: dict[str, str]) -> None:
    """At least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    inks = ["ink", "quiet", "link", "get", "post", "put", "patch", "delete"]
    pairs = [(ink, paper) for ink in inks for paper in ("paper", "panel")]
    pairs += [("code-ink", "code"), ("warn", "warn-paper"), ("link", "mark"), ("ink", "mark")]
    for ink, paper in pairs:
        high, low = sorted((_luminance(palette[ink]), _luminance(palette[paper])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {paper}"


# ── words ─────────────────────────────────────────────────────────────────────────────────────

THING = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
READER = Reader({"Thing": {**THING, "description": "A thing."}, "Loop": {
    "type": "object", "properties": {"more": {"type": "array", "items": {"$ref": "#/x/Loop"}}},
}})  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "words", "rules"),
    [
        ({"type": "string", "maxLength": 9, "minLength": 2}, "string", ["2 to 9 characters"]),
        ({"type": "string", "minLength": 1}, "string", ["not empty"]),
        ({"type": "integer", "minimum": 0}, "integer", ["at least 0"]),
        ({"type": "string", "format": "date-time"}, "time", []),
        ({"enum": ["a", "b"], "default": "a"}, 'one of "a", "b"', ['default "a"']),
        ({"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 5},
         "list of string", ["at most 5 items", "each at most 3 characters"]),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "map of number", []),
        ({"anyOf": [{"type": "null"}, {"type": "integer", "maximum": 4}]}, "integer or null",
         ["at most 4"]),
        ({"$ref": "#/x/Thing"}, "object", []),
        ({"type": "string", "pattern": r"^a$(?!\n)", "writeOnly": True}, "string",
         ["pattern `^a$`", "never shown again"]),
        ({}, "any value", []),
    ],
)  # fmt: skip
def test_a_schema_in_words(schema: Any, words: str, rules: list[str]) -> None:
    found = READER.field("f", schema, required=True)
    assert (found.type, list(found.rules)) == (words, rules)


def test_what_is_in_something() -> None:
    for schema in (
        {"$ref": "#/x/Thing"},
        {"type": "array", "items": {"$ref": "#/x/Thing"}},
        {"anyOf": [{"$ref": "#/x/Thing"}, {"type": "null"}]},
        {"type": "object", "additionalProperties": {"$ref": "#/x/Thing"}},
    ):
        assert [(one.name, one.required) for one in READER.fields(schema)] == [("a", True)]
    assert READER.field("f", {"$ref": "#/x/Thing"}, required=False).description == "A thing."
    assert READER.fields({"$ref": "#/x/Loop"})[0].name == "more", "and it comes to an end"


# ── served ────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_served_to_everyone_and_kept(site: Site) -> None:
    for path, kind in (
        ("/docs", "text/html"), ("/docs/notes", "text/html"), ("/docs/streams", "text/html"),
        ("/docs/reference.css", "text/css"), ("/docs/reference.js", "text/javascript"),
    ):  # fmt: skip
        async with site.http.get(f"{site.url}{path}") as response:
            assert (response.status, response.content_type) == (200, kind)
            assert response.headers["Content-Security-Policy"] == POLICY
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            tag = response.headers["ETag"]
        async with site.http.get(f"{site.url}{path}", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["Content-Security-Policy"] == POLICY, "it replaces the first"
    for path in ("/docs/", "/docs/nothing", "/docs/trouble/x", "/docs/layout.html"):
        async with site.http.get(f"{site.url}{path}") as response:
            assert response.status == 404


class Hostile:
    """A plugin whose declarations hold what a page must not take for its own."""

    BAD = "<script>alert(1)</script> & `<b>` \"'"

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        async def answer(call: Call[None, NoQuery]) -> Reply:
            return Reply(Tick(1))

        return [
            Route(
                method="GET", path="/api/v1/hostiles", summary=self.BAD, tag="a <b> tag",
                handler=answer, permission=None, response=Tick, description=self.BAD,
                deprecated=Deprecated(dt.date(2026, 1, 1), None, self.BAD),
            )
        ]  # fmt: skip


async def test_a_declaration_cannot_break_its_page(run_site: RunSite) -> None:
    async with run_site(hostile=Hostile()) as site:
        for path in ("/docs", "/docs/a-b-tag"):
            async with site.http.get(f"{site.url}{path}") as response:
                assert response.status == 200
                page = Page(await response.text()).root
            assert len([*page.all("script")]) == 1
            assert "<script>alert(1)</script>" in page.text
        assert "Deprecated since 2026-01-01." in page.text
