"""The hub's own pages in a real browser: they work, ask nobody else, and fit a telephone."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.embedded.postgres import Postgres
from tests.fixtures.chromium import NARROW, WIDE, Chromium, Window
from tests.fixtures.lobby import PASSWORD, Lobby, MailedLink, Visitor, running_lobby

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOOKS: list[Any] = [
    pytest.param({"viewport": size, "color_scheme": scheme}, id=f"{name}-{scheme}")
    for name, size in (("wide", WIDE), ("narrow", NARROW))
    for scheme in ("light", "dark")
]
REFUSED = "Failed to load resource: the server responded with a status of"
"""What Chromium says of any answer that is none of success, a page's own included."""
OTHER = "nine purple envelopes"


@pytest.fixture(scope="module")
def lobby(postgres_server: Postgres, parts_folder: Path) -> Iterator[Lobby]:
    """A hub that is reached where it is, by a name: passkeys need one."""
    with running_lobby(postgres_server, parts_folder, public_url="http://localhost:{port}") as hub:
        yield hub


async def window_of(chromium: Chromium, lobby: Lobby, **look: Any) -> Window:
    return await chromium.window(f"http://localhost:{lobby.port}", **look)


async def link_to(lobby: Lobby, visitor: Visitor, kind: str, mail: str = "") -> MailedLink:
    """Wait for a mail, and give its link."""
    links = await asyncio.to_thread(lobby.links_to, visitor.email, mail or kind)
    return next(one for one in links if one.kind == kind)


async def is_used_once(window: Window, link: MailedLink, done: str) -> None:
    """Press the button of a link's page, and find the link good no more."""
    await window.press()
    assert done in await window.page.locator("main").inner_text()
    assert await window.page.get_by_role("button").count() == 0
    window.expected = (REFUSED,)
    await window.open(link.path, status=404)
    assert await window.heading() == "This link is not valid"


@pytest.mark.parametrize("look", LOOKS)
async def test_an_address_is_verified(lobby: Lobby, chromium: Chromium, look: Any) -> None:
    visitor = await asyncio.to_thread(lobby.sign_up)
    link = await link_to(lobby, visitor, "verify")
    window = await window_of(chromium, lobby, **look)
    await window.open(link.path)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = await window.page.evaluate(paper) == "rgb(255, 255, 255)"
    assert light == (look["color_scheme"] == "light")
    assert visitor.log_in().status == 403, "looking is not enough"
    await is_used_once(window, link, "You can log in now")
    assert visitor.log_in().status == 201


async def test_a_password_is_set_anew(lobby: Lobby, chromium: Chromium) -> None:
    visitor = await asyncio.to_thread(lobby.person, logged_in=False)
    assert visitor.ask("POST", "/password-resets", {"email": visitor.email}).status == 202
    link = await link_to(lobby, visitor, "reset")
    window = await window_of(chromium, lobby, viewport=NARROW)
    await window.open(link.path)
    field = window.page.get_by_label("New password")
    assert await field.evaluate("one => one === document.activeElement"), "one can type at once"
    await field.fill("too short")
    await window.page.get_by_role("button").click()
    assert await field.evaluate("one => one.validity.tooShort"), "nothing is sent"
    window.expected = (REFUSED,)
    await field.fill("1234567890")
    await window.press()
    assert "most common" in await window.page.get_by_role("alert").inner_text()
    await window.page.get_by_label("New password").fill(OTHER)
    await is_used_once(window, link, "password")
    assert visitor.log_in(OTHER).status == 201


async def test_an_address_is_unlocked(lobby: Lobby, chromium: Chromium) -> None:
    visitor = await asyncio.to_thread(lobby.person, logged_in=False)
    for _ in range(10):
        lobby.sql("UPDATE accounts_attempt SET until = now() WHERE failures < 10")
        lobby.visitor(email=visitor.email).log_in("not the right one")
    stranger = lobby.visitor(email=visitor.email)
    assert stranger.log_in().status == 403
    link = await link_to(lobby, visitor, "unlock", mail="locked")
    window = await window_of(chromium, lobby)
    await window.open(link.path)
    await is_used_once(window, link, "log in")
    assert stranger.log_in().status == 201


async def test_a_newcomer_is_invited(lobby: Lobby, chromium: Chromium) -> None:
    owner = await asyncio.to_thread(lobby.person)
    account = lobby.account_of(owner)
    grace = lobby.visitor(email=f"grace.{account}@example.com")
    invited = {"email": grace.email, "role": "viewer"}
    assert owner.ask("POST", f"/accounts/{account}/invitations", invited).status == 201
    link = await link_to(lobby, grace, "invitation")
    window = await window_of(chromium, lobby, viewport=NARROW)
    await window.open(link.path)
    assert grace.email in await window.page.locator("main").inner_text()
    await window.page.get_by_label("Your name").fill("Grace <b>")
    await window.page.get_by_label("Choose a password").fill(PASSWORD)
    await is_used_once(window, link, "as viewer")
    assert grace.log_in().status == 201


async def test_a_japanese_page_is_in_japanese(lobby: Lobby, chromium: Chromium) -> None:
    visitor = await asyncio.to_thread(lobby.sign_up, locale="ja")
    link = await link_to(lobby, visitor, "verify")
    window = await window_of(chromium, lobby)
    await window.open(link.path)
    assert await window.page.evaluate("document.documentElement.lang") == "ja"
    assert re.search("[ぁ-ん]", await window.heading())
    await window.press()
    assert visitor.log_in().status == 201


@pytest.mark.parametrize("look", LOOKS)
async def test_a_mail_of_the_outbox_is_read_and_its_link_followed(
    lobby: Lobby, chromium: Chromium, look: Any
) -> None:
    visitor = await asyncio.to_thread(lobby.sign_up)
    link = await link_to(lobby, visitor, "verify")
    window = await window_of(chromium, lobby, **look)
    await window.open("/outbox")
    row = window.page.locator("tr", has_text=visitor.email)
    await row.get_by_role("link").click()
    assert await window.heading() == "Verify your address for Isaax"
    assert await window.overflow() == 0
    framed = window.page.frame_locator("iframe").get_by_role("link").first
    for place in (window.page.locator("pre a", has_text="/links/verify/"), framed):
        async with window.page.context.expect_page() as opened:
            await place.click()
        other = await opened.value
        await other.wait_for_load_state()
        assert other.url.endswith(link.path)
        assert await other.evaluate("window.opener") is None
        assert await other.evaluate("document.referrer") == ""
    await other.get_by_role("button").click()
    await other.wait_for_load_state()
    assert visitor.log_in().status == 201


@pytest.mark.parametrize("look", LOOKS)
async def test_the_reference_is_read_and_searched(
    lobby: Lobby, chromium: Chromium, look: Any
) -> None:
    window = await window_of(chromium, lobby, **look)
    page = window.page
    await window.open("/docs")
    links = page.locator("nav .pages a, nav h2 a")
    pages = await links.evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    for path in pages:
        await window.open(path)
        assert await window.heading()
    await window.open("/docs")  # once more: it was kept, and is found to be the same still
    await page.keyboard.press("/")
    await page.keyboard.type("invitation resend")
    assert await page.locator("#found").inner_text() == "1 found"
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/docs/invitations#resend_invitation")
    assert await page.locator("#resend_invitation").is_visible()
    await page.locator("#resend_invitation .code button").click()
    assert await window.overflow() == 0


# ── passkeys ──────────────────────────────────────────────────────────────────────────────────

PAGE = """<!doctype html><title>Passkeys</title><script>
const json = {"Content-Type": "application/json"};
async function ask(path, body, more = {}) {
  const sent = {method: "POST", headers: {...json, ...more}, body: JSON.stringify(body)};
  const answer = await fetch("/api/v1" + path, sent);
  const text = await answer.text();
  return {status: answer.status, body: text && JSON.parse(text)};
}
async function enrol(csrf) {
  const more = {"X-CSRF-Token": csrf};
  const asked = (await ask("/users/me/passkeys/options", undefined, more)).body;
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.options);
  const credential = await navigator.credentials.create({publicKey});
  const given = credential.toJSON();
  const body = {challenge: asked.challenge, name: "chromium", credential: given};
  return ask("/users/me/passkeys", body, more);
}
async function sign(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return (await navigator.credentials.get({publicKey})).toJSON();
}
async function enter() {
  const asked = (await ask("/sessions/passkey-options", {cookie: true})).body;
  const passkey = await sign(asked.options);
  return ask("/sessions/passkey", {challenge: asked.challenge, passkey, cookie: true});
}
async function logIn(email, password) {
  return ask("/sessions", {email, password, cookie: true});
}
async function finish(asked) {
  const passkey = await sign(asked.passkey_options);
  return ask("/sessions/second-factor", {challenge: asked.challenge, passkey, cookie: true});
}
async function current() {
  return (await fetch("/api/v1/users/me")).json();
}
</script>"""
"""As the web application will ask: a page of the hub's own origin, with our REST API alone."""


async def page_for_passkeys(window: Window) -> None:
    """Open a page of the hub's origin, in a browser with an authenticator of its own (WebAuthn)."""
    session = await window.page.context.new_cdp_session(window.page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
        "hasUserVerification": True, "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }  # fmt: skip
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page = {"body": PAGE, "content_type": "text/html"}
    await window.page.route("**/passkeys.html", lambda route: route.fulfill(**page))
    await window.open("/passkeys.html")


async def test_a_browser_makes_a_passkey_and_logs_in_by_it(
    lobby: Lobby, chromium: Chromium
) -> None:
    """Alone, and as the second factor; the session is in a cookie that no script sees."""
    visitor = await asyncio.to_thread(lobby.person, logged_in=False)
    window = await window_of(chromium, lobby)
    await page_for_passkeys(window)
    page = window.page
    known = [visitor.email, visitor.password]
    begun = await page.evaluate("([email, password]) => logIn(email, password)", known)
    assert (begun["status"], begun["body"]["token"]) == (201, None)
    made = await page.evaluate("csrf => enrol(csrf)", begun["body"]["csrf_token"])
    assert made["status"] == 201, made
    assert made["body"]["name"] == "chromium"
    assert await page.evaluate("document.cookie") == ""
    await page.context.clear_cookies()
    entered = await page.evaluate("enter()")
    assert entered["status"] == 201, entered
    assert (await page.evaluate("current()"))["email"] == visitor.email
    await page.context.clear_cookies()
    asked = await page.evaluate("([email, password]) => logIn(email, password)", known)
    assert (asked["status"], "passkey" in asked["body"]["kinds"]) == (202, True)
    finished = await page.evaluate("asked => finish(asked)", asked["body"])
    assert finished["status"] == 201, finished
    assert (await page.evaluate("current()"))["email"] == visitor.email
