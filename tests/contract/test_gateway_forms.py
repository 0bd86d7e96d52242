"""Pages with forms, paths that hold a secret, people in several accounts, answers that say when."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Annotated, Any

import msgspec
import pytest

from hub import hookimpl, telemetry
from hub.contracts import Bus
from hub.errors import Forbidden, LimitReached, NotFound
from hub.gateway.shell import shown_path
from hub.permissions import SIGNED_IN
from hub.routes import Authenticator, Call, Caller, Cookie, NoQuery, Reply, Route
from hub.secret import Secret
from tests.fixtures.gateway import RunSite, Site

HTML = "text/html; charset=utf-8"
TOKEN = "t" * 43
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PEOPLE = {"one": "acc_one", "two": "acc_two"}


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the form asks for."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    password: Secret
    often: int = 1


class Seen(msgspec.Struct, frozen=True):
    """Who asked."""

    caller: Caller


@dataclass
class Forms:
    """A plugin with a page that has a form."""

    async def page(self, call: Call[None, NoQuery]) -> Reply:
        if call.path["token"] != TOKEN:
            return Reply(text="<p>gone", status=404)
        return Reply(text="<form method=post>", headers={"Content-Security-Policy": "mine"})

    async def act(self, call: Call[Wish, NoQuery]) -> Reply:
        wish = call.body
        return Reply(text=f"{wish.name} {wish.password.reveal()} {wish.often}")

    async def see(self, call: Call[Any, NoQuery]) -> Reply:
        return Reply(Seen(call.caller), cookies=(Cookie("session", "one"),))

    async def wait(self, call: Call[Any, NoQuery]) -> Reply:
        raise LimitReached("too often", retry_after=29.2)

    async def locked(self, call: Call[Any, NoQuery]) -> Reply:
        raise Forbidden("locked", retry_after=3600)

    @hookimpl
    def isaax_authenticators(self) -> list[Authenticator]:
        async def check(credential: str, _: Bus) -> Caller | None:
            if credential == "nowhere":
                return Caller("", "ses_0", user="usr_0")
            return Caller("acc_one", "ses_1") if credential == "one" else None

        async def check_in(credential: str, account: str, _: Bus) -> Caller | None:
            if credential != "one":
                return None
            if account not in PEOPLE.values():
                raise NotFound("you are no member of such an account")
            return Caller(account, "ses_1")

        return [Authenticator("forms", "Bearer", check, cookie="session", in_account=check_in)]

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        link = "/links/verify/{token}"
        return [
            Route(
                method="GET", path=link, summary="Show", tag="forms", handler=self.page,
                permission=None, anonymous=True, secret_path=True, texts=(HTML,),
            ),
            Route(
                method="POST", path=link, summary="Do", tag="forms", handler=self.act,
                permission=None, anonymous=True, secret_path=True, texts=(HTML,), body=Wish,
                form=True, errors=(NotFound,), examples=(Wish("x", Secret("s")),),
            ),
            Route(
                method="POST", path="/login", summary="Log in", tag="forms", handler=self.see,
                permission=None, anonymous=True, response=Seen,
            ),
            Route(
                method="GET", path="/see", summary="See", tag="forms", handler=self.see,
                permission="notes:read", response=Seen,
            ),
            Route(
                method="GET", path="/self", summary="See", tag="forms", handler=self.see,
                permission=SIGNED_IN.name, response=Seen,
            ),
            Route(
                method="GET", path="/wait", summary="Wait", tag="forms", handler=self.wait,
                permission=None, response=Seen, errors=(LimitReached,),
            ),
            Route(
                method="GET", path="/locked", summary="Wait", tag="forms", handler=self.locked,
                permission=None, response=Seen, errors=(Forbidden,),
            ),
        ]  # fmt: skip


@pytest.fixture
async def forms(run_site: RunSite) -> AsyncIterator[Site]:
    async with run_site(forms=Forms()) as site:
        yield site


@dataclass
class Heard:
    """An answer."""

    status: int
    headers: Any
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


async def ask(site: Site, method: str, path: str, data: str | None = None, **headers: str) -> Heard:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{site.url}{path}"
    async with site.http.request(method, url, data=data, headers=named) as response:
        return Heard(response.status, response.headers, await response.text())


# ── forms ──


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("name=a+b&password=p%2B%26", "a b p+& 1"),
        ("name=%E3%81%AF&password=&often=2", "は  2"),
    ],
)
async def test_a_form_is_a_struct(forms: Site, sent: str, read: str) -> None:
    heard = await ask(forms, "POST", f"/links/verify/{TOKEN}", sent, **FORM)
    assert (heard.status, heard.text) == (200, read)
    assert heard.headers["Content-Type"] == HTML


@pytest.mark.parametrize(
    ("sent", "status", "pointer"),
    [
        ("name=a", 422, "/password"),
        ("name=&password=p", 422, "/name"),
        ("name=a&password=p&often=many", 422, "/often"),
        ("name=a&name=b&password=p", 422, "/name"),
        ("name=a&password=p&role=owner", 422, "/role"),
        ("name=a%00&password=p", 422, "/name"),
        ("name=%ff&password=p", 400, None),
        ("name=é&password=p", 400, None),
    ],
)
async def test_a_bad_form_is_refused(
    forms: Site, sent: str, status: int, pointer: str | None
) -> None:
    heard = await ask(forms, "POST", f"/links/verify/{TOKEN}", sent, **FORM)
    assert heard.status == status
    assert [error["pointer"] for error in heard.body.get("errors", [])] == (
        [pointer] if pointer else []
    )


async def test_a_form_is_not_json(forms: Site) -> None:
    """And the answer to OPTIONS says so."""
    heard = await ask(
        forms, "POST", f"/links/verify/{TOKEN}", "{}", Content_Type="application/json"
    )
    assert (heard.status, heard.headers["Accept-Post"]) == (415, FORM["Content-Type"])
    options = await ask(forms, "OPTIONS", f"/links/verify/{TOKEN}")
    assert options.headers["Accept-Post"] == FORM["Content-Type"]
    assert (await ask(forms, "OPTIONS", "/api/v1/notes")).headers["Accept-Post"].endswith("/json")


async def test_a_page_tells_of_a_problem_in_its_own_words(forms: Site) -> None:
    heard = await ask(forms, "GET", f"/links/verify/{'x' * 43}")
    assert (heard.status, heard.text, heard.headers["Content-Type"]) == (404, "<p>gone", HTML)
    page = await ask(forms, "GET", f"/links/verify/{TOKEN}")
    assert page.headers["Content-Security-Policy"] == "mine"


async def test_the_description_has_forms(forms: Site) -> None:
    document = (await ask(forms, "GET", "/openapi.json")).body
    post = document["paths"]["/links/verify/{token}"]["post"]
    content = post["requestBody"]["content"][FORM["Content-Type"]]
    assert content["schema"]["$ref"].endswith("/Wish")
    assert content["examples"]["1"]["value"]["password"] == Secret.MASK
    assert set(post["responses"]["404"]["content"]) == {"application/problem+json", "text/html"}
    limited = document["paths"]["/wait"]["get"]["responses"]["429"]
    assert "Retry-After" in limited["headers"]


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET", "body": None, "form": True},
        {"permission": SIGNED_IN.name},
        {"form": False},
        {"body": msgspec.defstruct("Odd", [("field", dict[str, str])])},
    ],
)
async def test_a_form_that_cannot_be_is_not_served(
    run_site: RunSite, change: dict[str, Any]
) -> None:
    route = Forms().isaax_routes()[1]
    fields = {name: getattr(route, name) for name in route.__dataclass_fields__}

    class Broken:
        @hookimpl
        def isaax_routes(self) -> list[Route[Any, Any]]:
            return [Route(**{**fields, **change})]

    async with run_site(broken=Broken()) as site:
        heard = await ask(site, "GET", f"/links/verify/{TOKEN}")
    assert (heard.status, heard.body["type"]) == (404, "/problems/no-such-path")


# ── credentials ──


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Bearer one"},
        {"Cookie": "session=one"},
        {"Isaax_Account": "acc_nobodys"},
    ],
)
async def test_where_nobody_is_asked_a_credential_is_no_obstacle(
    forms: Site, headers: dict[str, str]
) -> None:
    """A stale session must not keep anybody from a new one; nor does it count for anything."""
    heard = await ask(forms, "POST", "/login", **headers)
    assert heard.status == 200
    assert heard.body["caller"]["actor"] == "anonymous"


@pytest.mark.parametrize("shown", [{"Authorization": "Bearer one"}, {"Cookie": "session=one"}])
async def test_a_person_says_which_account_is_meant(forms: Site, shown: dict[str, str]) -> None:
    for headers, account in (
        ({}, "acc_one"), ({"Isaax_Account": "acc_one"}, "acc_one"),
        ({"Isaax_Account": "acc_two"}, "acc_two"),
    ):  # fmt: skip
        heard = await ask(forms, "GET", "/see", **shown, **headers)
        assert heard.body["caller"]["account"] == account
    heard = await ask(forms, "GET", "/see", **shown, Isaax_Account="acc_others")
    assert heard.status == 404


async def test_a_credential_of_one_account_opens_no_other(forms: Site) -> None:
    for account, status in (("acc_one", 200), ("acc_two", 403)):
        heard = await ask(
            forms, "GET", "/api/v1/notes", Authorization="Bearer reader", Isaax_Account=account
        )
        assert heard.status == status


async def test_two_accounts_at_once_are_refused(forms: Site) -> None:
    raw = (
        b"GET /see HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer one\r\n"
        b"Isaax-Account: acc_one\r\nIsaax-Account: acc_two\r\n\r\n"
    )
    assert (await forms.raw(raw)).startswith(b"HTTP/1.1 400")


async def test_a_person_without_an_account_does_nothing_in_any(forms: Site) -> None:
    """What concerns the person alone stays possible; "" is no account that two could share."""
    nowhere = {"Authorization": "Bearer nowhere"}
    assert (await ask(forms, "GET", "/self", **nowhere)).status == 200
    heard = await ask(forms, "GET", "/see", **nowhere)
    assert (heard.status, heard.body["detail"]) == (403, "you are a member of no account")


async def test_an_error_says_when_it_is_worth_trying_again(forms: Site) -> None:
    for path, status, seconds in (("/wait", 429, "30"), ("/locked", 403, "3600")):
        heard = await ask(forms, "GET", path)
        assert (heard.status, heard.headers["Retry-After"]) == (status, seconds)


# ── secrets in paths ──


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What the process logs."""
    stream, root = StringIO(), logging.getLogger()
    before = (root.handlers[:], root.level)
    telemetry.configure(level="debug", stream=stream)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    "path",
    [
        f"/links/verify/{TOKEN}",
        f"/links/verify/{TOKEN}/",
        f"/links//verify/{TOKEN}",
        f"/links/Verify/{TOKEN}",
        f"/%6cinks/verify/{TOKEN}",
        f"/links/verify/%74{TOKEN[1:]}",
        f"/links/{TOKEN}",
        f"/elsewhere/{TOKEN}?{TOKEN}",
        f"/links/verify/{TOKEN}%0a",
        f"/links/verify/{TOKEN};x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
async def test_no_token_of_a_path_is_logged(
    forms: Site, log: StringIO, method: str, path: str
) -> None:
    """Of a route whose path is secret, nor of a path that comes near to one."""
    await ask(forms, method, path)
    assert '"request"' in log.getvalue()
    assert TOKEN[:36] not in log.getvalue()


def test_what_a_log_shows_of_a_path() -> None:
    assert shown_path("/api/v1/projects/prj_abcdefghijklmnopqrst/logs").endswith("qrst/logs")
    assert shown_path("/a\nb/é") == "/a%0Ab/%C3%A9"
    assert shown_path(f"/a/{'b' * 40}/c") == "/a/********/c"
