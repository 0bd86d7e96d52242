"""Integrations over REST, on a whole hub: shaped, tried, paused, and helped when in trouble."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.deadline import until
from tests.fixtures.rawdevice import RawDevice, batch, open_device
from tests.fixtures.spine import Answer, Project, Spine

TOKEN = "Bearer t0p-secret-of-ours"


@dataclass
class Sink:
    """An HTTP endpoint that refuses what it is told to refuse, for good."""

    refuse: Sequence[str] = ()
    texts: list[str] = field(default_factory=list)
    lines: list[Any] = field(default_factory=list)
    url: str = ""

    def take(self, lines: list[Any]) -> int:
        texts = [line["message"] for line in lines]
        if any(part in text for part in self.refuse for text in texts):
            return 400
        self.texts += texts
        self.lines += lines
        return 200


@contextmanager
def sink(*refuse: str) -> Iterator[Sink]:
    """Serve one."""
    taker = Sink(refuse)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = taker.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            said = f"{'yes' if status == 200 else 'no'} {self.headers['Authorization']}".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taker.url = f"http://127.0.0.1:{server.server_address[1]}/in"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield taker
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Garden:
    """A project with a device that sends what a test says."""

    spine: Spine
    project: Project
    device: RawDevice
    sent: int = 0

    def send(self, *texts: str) -> None:
        """Have lines stored."""
        answer = self.device.send(batch(*texts, first=self.sent + 1))
        assert answer["op"] == "ack", answer
        self.sent += len(texts)

    def integration(self, url: str, **more: Any) -> str:
        """Configure a webhook; give its path."""
        body = {
            "type": "webhook", "name": "hook",
            "config": {"url": url, "headers": {"Authorization": TOKEN}},
        }  # fmt: skip
        path = f"/projects/{self.project.id}/integrations"
        return f"/integrations/{self.spine.api.make(path, body | more)['id']}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for something that can be had."""
        answer = self.spine.api.ask(method, path, body)
        assert answer.status in {200, 204}, answer
        return answer.body

    def letters(self, path: str) -> list[Any]:
        """Give an integration's dead letters, with their lines."""
        page = self.ask("GET", f"{path}/dead-letters?limit=200")
        found = [self.ask("GET", f"{path}/dead-letters/{item['id']}") for item in page]
        assert [{k: v for k, v in one.items() if k in item} for one, item in
                zip(found, page, strict=True)] == page  # fmt: skip
        return found

    def texts(self, path: str) -> list[str]:
        """Give the texts of an integration's dead letters."""
        return [line["message"] for letter in self.letters(path) for line in letter["lines"]]


@pytest.fixture
async def garden(spine: Spine) -> Any:
    """One of a test's own."""
    project = spine.project()
    device = await open_device(spine.embedded.ports.mqtt, project.id, project.token)
    yield Garden(spine, project, device)
    for one in device.family:
        one.close()


def problem(answer: Answer) -> tuple[int, list[str]]:
    """Give a refusal's status and the places that it names."""
    return answer.status, [error["pointer"] for error in answer.body.get("errors", [])]


# ── shapes ────────────────────────────────────────────────────────────────────────────────────


async def test_a_shape_decides_what_goes_there(garden: Garden) -> None:
    with sink() as taker:
        path = garden.integration(taker.url, shape={"filter": {"include": [{"text": "keep"}]}})
        shown = garden.ask("GET", path)["shape"]
        assert shown["filter"]["include"][0]["text"] == "keep"
        garden.send("keep 1", "drop 1", "keep 2")
        await until(lambda: taker.texts == ["keep 1", "keep 2"], what="what is let through")
        change = {"shape": {"filter": None, "redact": {"emails": True}}}
        assert garden.ask("PATCH", path, change)["shape"]["filter"]["include"] == []
        garden.send("drop 2", "a@example.com")
        await until(lambda: len(taker.texts) == 4, what="all of it")
        assert taker.texts[2] == "drop 2"
        assert "example" not in taker.texts[3]


BAD_SHAPES = [
    ({"filter": {"include": [{"regex": "("}]}}, "/shape/filter/include/0/regex"),
    ({"filter": {"exclude": [{"severity": "loud"}]}}, "/shape/filter/exclude/0/severity"),
    ({"redact": {"patterns": [{"regex": "a"}, {"regex": "[z-a]"}]}},
     "/shape/redact/patterns/1/regex"),
    ({"template": "{{ message"}, "/shape/template"),
    ({"join": {"continues": "a)"}}, "/shape/join/continues"),
    ({"filtr": {}}, "/shape/filtr"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "pointer"), BAD_SHAPES, ids=[p for _, p in BAD_SHAPES])
async def test_a_bad_shape_is_refused_with_the_place_in_it(
    garden: Garden, shape: Any, pointer: str
) -> None:
    api, wanted = garden.spine.api, (422, [pointer])
    config = {"url": "https://example.com/"}
    body = {"type": "webhook", "name": "hook", "config": config, "shape": shape}
    made = f"/projects/{garden.project.id}/integrations"
    assert problem(api.ask("POST", made, body)) == wanted
    path = garden.integration("https://example.com/", enabled=False)
    before = api.ask("GET", path).headers["ETag"]
    assert problem(api.ask("PATCH", path, {"shape": shape})) == wanted
    assert problem(api.ask("POST", f"{path}/dry-run", {"shape": shape})) == wanted
    assert api.ask("GET", path).headers["ETag"] == before


async def test_a_dry_run_sends_nothing_and_shows_everything(garden: Garden) -> None:
    with sink() as taker:
        path = garden.integration(taker.url, enabled=False)
        garden.send("me@example.com", "noise")
        shape = {"filter": {"exclude": [{"text": "noise"}]}, "redact": {"emails": True}}
        first, second = garden.ask("POST", f"{path}/dry-run", {"shape": shape})
        assert (first["outcome"], second["outcome"]) == ("sent", "filter")
        assert first["line"]["message"] == "me@example.com"
        assert "example" not in first["after"]["message"]
        assert second["after"] is None
        plain = garden.ask("POST", f"{path}/dry-run", {"limit": 1})
        assert [line["after"]["message"] for line in plain] == ["noise"]
        assert taker.texts == []


# ── pausing ───────────────────────────────────────────────────────────────────────────────────


async def test_what_comes_while_it_is_paused_waits(garden: Garden) -> None:
    with sink() as taker:
        path = garden.integration(taker.url)
        garden.send("one")
        await until(lambda: taker.texts == ["one"], what="the first line")
        paused = garden.ask("POST", f"{path}/pause")
        assert not paused["enabled"]
        tag = garden.spine.api.ask("GET", path).headers["ETag"]
        again = garden.spine.api.ask("POST", f"{path}/pause")
        assert (again.status, again.headers["ETag"]) == (200, tag), "it changed nothing"
        garden.send("two", "three")

        def waits() -> bool:
            status = garden.ask("GET", path)["status"]
            return bool(status["state"] == "paused" and status["pending"] == 1)

        await until(waits, what="a batch that waits")
        assert taker.texts == ["one"]
        assert garden.ask("POST", f"{path}/resume")["enabled"]
        await until(lambda: taker.texts == ["one", "two", "three"], what="what waited")
        stale = garden.spine.api.ask("POST", f"{path}/pause", headers={"If-Match": tag})
        assert stale.status == 412


# ── trials ────────────────────────────────────────────────────────────────────────────────────


async def test_a_test_line_shows_what_the_destination_answers(garden: Garden) -> None:
    with sink("bad") as taker:
        path = garden.integration(taker.url, enabled=False)
        result = garden.ask("POST", f"{path}/test", {"message": "is it there?"})
        assert (result["outcome"], result["status"]) == ("taken", 200)
        assert result["answer"] == "yes ********"
        assert taker.texts == ["is it there?"]
        assert taker.lines[0]["host"] == "isaax-test"
        refused = garden.ask("POST", f"{path}/test", {"message": "a bad one"})
        assert (refused["outcome"], refused["status"]) == ("rejected", 400)
        assert refused["reason"] == "answered 400: no ********"
        assert garden.ask("POST", f"{path}/test", {})["outcome"] == "taken"
        assert garden.ask("POST", f"{path}/test")["outcome"] == "taken", "{} may be left out"
        assert garden.ask("GET", f"{path}/dead-letters") == []
        assert TOKEN not in garden.spine.log


async def test_a_config_is_tried_before_it_is_saved(garden: Garden) -> None:
    listed = f"/projects/{garden.project.id}/integrations"
    with sink() as taker:
        config = {"url": taker.url, "headers": {"Authorization": TOKEN}}
        body = {"type": "webhook", "name": "hook", "config": config, "message": "hello"}
        result = garden.ask("POST", f"{listed}/test", body)
        assert (result["outcome"], result["answer"]) == ("taken", "yes ********")
        assert taker.texts == ["hello"]
        config["url"] = "http://127.0.0.1:9/in"
        result = garden.ask("POST", f"{listed}/test", body)
        assert result["outcome"] == "failed"
        assert "refused the connection" in result["reason"]
    assert garden.ask("GET", listed) == []
    wrong = {"type": "webhook", "config": {"urls": 1}}
    assert problem(garden.spine.api.ask("POST", f"{listed}/test", wrong))[0] == 422
    unknown = {"type": "telegraph", "config": {}}
    assert problem(garden.spine.api.ask("POST", f"{listed}/test", unknown)) == (422, ["/type"])


# ── dead letters ──────────────────────────────────────────────────────────────────────────────


async def test_letters_are_read_fixed_and_replayed_in_order(garden: Garden) -> None:
    with sink("bad") as taker:
        path = garden.integration(taker.url)
        for number in range(1, 5):
            garden.send(f"bad {number}")
            await until(lambda: len(garden.texts(path)) == number, what="a letter")  # noqa: B023
        garden.send("good")
        await until(lambda: taker.texts == ["good"], what="the line behind them")
        letters = garden.letters(path)
        assert [letter["reason"] for letter in letters] == ["answered 400: no ********"] * 4
        assert garden.ask("GET", path)["status"]["dead_letters"] == 4
        first, second, third, fourth = (f"{path}/dead-letters/{one['id']}" for one in letters)

        fixed = garden.ask("PATCH", second, {"messages": ["fixed 2"]})
        assert fixed["id"] == letters[1]["id"]
        assert garden.texts(path) == ["bad 1", "fixed 2", "bad 3", "bad 4"]
        too_many = garden.spine.api.ask("PATCH", third, {"messages": ["x", "y"]})
        assert problem(too_many) == (422, ["/messages"])
        garden.ask("PATCH", first, {"messages": ["fixed 1"]})
        garden.ask("DELETE", third)
        assert garden.spine.api.ask("GET", third).status == 404
        assert garden.spine.api.ask("DELETE", third).status == 404

        some = {"dead_letters": [letters[1]["id"], letters[0]["id"]]}
        done = garden.ask("POST", f"{path}/replay", some)
        assert (done["letters"], done["lines"], done["more"]) == (2, 2, False)
        wanted = ["good", "fixed 1", "fixed 2"]
        await until(lambda: taker.texts == wanted, what="what was fixed")
        assert taker.lines[1]["id"] == letters[0]["lines"][0]["id"]
        assert garden.texts(path) == ["bad 4"]

        # What is refused once more is a letter once more, however soon.
        for _ in range(2):
            assert garden.ask("POST", f"{path}/replay", {"dead_letters": "all"})["letters"] == 1
            await until(lambda: garden.texts(path) == ["bad 4"], what="the letter again")
        assert garden.spine.api.ask("GET", fourth).status == 404
        taker.refuse = ()
        garden.ask("POST", f"{path}/replay", {"dead_letters": "all"})
        await until(lambda: taker.texts == [*wanted, "bad 4"], what="the last one")
        assert garden.ask("GET", f"{path}/dead-letters") == []


async def test_letters_come_in_pages_and_are_dropped_together(garden: Garden) -> None:
    with sink("bad") as taker:
        path = garden.integration(taker.url)
        for number in range(1, 6):
            garden.send(f"bad {number}")
            await until(lambda: len(garden.texts(path)) == number, what="a letter")  # noqa: B023
        seen: list[str] = []
        url = f"{path}/dead-letters?limit=2"
        while url:
            answer = garden.spine.api.ask("GET", url)
            assert len(answer.body) <= 2
            seen += [item["id"] for item in answer.body]
            link = answer.headers.get("Link", "")
            url = link.partition("<")[2].partition(">")[0].partition("/api/v1")[2]
        assert len(seen) == 5
        assert seen == [letter["id"] for letter in garden.letters(path)]
        assert garden.ask("DELETE", f"{path}/dead-letters") == {
            "letters": 5, "lines": 5, "more": False,
        }  # fmt: skip
        assert garden.texts(path) == []
        assert garden.spine.api.ask("GET", f"{path}/dead-letters?cursor=x").status == 422


async def test_what_the_hub_cannot_read_is_kept_for_the_project(garden: Garden) -> None:
    path = f"/projects/{garden.project.id}/dead-letters"
    bad = bytearray(batch("x"))
    bad[1] = 9  # a codec that nobody knows
    answer = garden.device.send(bytes(bad))
    assert answer["op"] == "reject"
    await until(lambda: len(garden.ask("GET", path)) == 1, what="the letter")
    (item,) = garden.ask("GET", path)
    assert (item["source"], item["device"], item["stream"]) == (
        "intake", garden.device.client, "app",
    )  # fmt: skip
    assert garden.ask("GET", f"/projects/{garden.project.id}/relay")["refused"] == 1
    assert garden.ask("DELETE", path)["letters"] == 1
    assert garden.ask("GET", path) == []


def letters_of_all(garden: Garden) -> int:
    """Say how many dead letters the account has."""
    return int(garden.ask("GET", "/relay")["dead_letters"])


async def test_with_an_integration_its_letters_are_gone(garden: Garden) -> None:
    before = letters_of_all(garden)
    with sink("bad") as taker:
        path = garden.integration(taker.url)
        garden.send("bad")
        await until(lambda: garden.texts(path) == ["bad"], what="the letter")
        await until(lambda: letters_of_all(garden) == before + 1, what="it in the figures")
        garden.ask("DELETE", path)
        assert garden.spine.api.ask("GET", f"{path}/dead-letters").status == 404
        await until(lambda: letters_of_all(garden) == before, what="nothing left")


async def test_with_a_project_all_its_letters_are_gone(garden: Garden) -> None:
    before = letters_of_all(garden)
    bad = bytearray(batch("x"))
    bad[1] = 9  # a codec that nobody knows
    assert garden.device.send(bytes(bad))["op"] == "reject"
    garden.sent += 1
    with sink("bad") as taker:
        path = garden.integration(taker.url)
        garden.send("bad")
        await until(lambda: garden.texts(path) == ["bad"], what="the letter")
        await until(lambda: letters_of_all(garden) == before + 2, what="both in the figures")
        garden.ask("DELETE", f"/projects/{garden.project.id}")
        await until(lambda: letters_of_all(garden) == before, what="nothing left")


# ── replaying from a time ─────────────────────────────────────────────────────────────────────


async def test_lines_since_a_time_are_delivered_again_before_newer_ones(garden: Garden) -> None:
    with sink() as taker:
        garden.send("before")
        await until(
            lambda: len(garden.ask("GET", f"/projects/{garden.project.id}/logs")) == 1,
            what="a line that is older than the integration",
        )
        path = garden.integration(taker.url)
        since = datetime.now(UTC).isoformat()
        garden.send("one", "two")
        await until(lambda: taker.texts == ["one", "two"], what="the lines")
        done = garden.ask("POST", f"{path}/replay", {"from": since})
        assert done["from"] == since.replace("+00:00", "Z")
        assert "retention" in done["note"]
        garden.send("three")
        wanted = ["one", "two", "one", "two", "three"]
        await until(lambda: taker.texts == wanted, what="the lines again, and the next")
        garden.ask("POST", f"{path}/replay", {"from": "2020-01-01T00:00:00Z"})
        wanted += ["before", "one", "two", "three"]
        await until(lambda: taker.texts == wanted, what="all that is kept")


async def test_from_now_on_leaves_out_what_waits(garden: Garden) -> None:
    with sink() as taker:
        path = garden.integration(taker.url, enabled=False)
        garden.send("one", "two")
        done = garden.ask("POST", f"{path}/replay", {"from": "now"})
        assert done["note"] == "what waited is left out"
        garden.ask("POST", f"{path}/resume")
        garden.send("three")
        await until(lambda: taker.texts == ["three"], what="the newest alone")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, [""]),
        ({"dead_letters": "all", "from": "now"}, [""]),
        ({"from": "yesterday"}, ["/from"]),
        ({"from": "2026-01-01T00:00:00"}, ["/from"]),
        ({"from": "2999-01-01T00:00:00Z"}, ["/from"]),
        ({"from": "0001-01-01T00:00:00+14:00"}, ["/from"]),
        ({"from": "9999-12-31T23:59:59-14:00"}, ["/from"]),
        ({"dead_letters": []}, ["/dead_letters"]),
        ({"dead_letters": "some"}, ["/dead_letters"]),
    ],
)
async def test_what_cannot_be_replayed_is_refused(
    garden: Garden, body: Any, pointers: list[str]
) -> None:
    path = garden.integration("https://example.com/", enabled=False)
    answer = garden.spine.api.ask("POST", f"{path}/replay", body)
    assert problem(answer) == (422, pointers)
    for letter in ("1", "9" * 5_000):
        missing = garden.spine.api.ask("POST", f"{path}/replay", {"dead_letters": [letter]})
        assert missing.status == 404
    assert garden.spine.api.ask("GET", f"{path}/dead-letters/{'9' * 5_000}").status == 404


async def test_how_it_fares_is_always_told_anew(garden: Garden) -> None:
    """Who watches it with `If-None-Match` would else never see a change."""
    path = garden.integration("https://example.com/", enabled=False)
    first = garden.spine.api.ask("GET", path)
    known = {"If-None-Match": first.headers["ETag"]}
    again = garden.spine.api.ask("GET", path, headers=known)
    assert (again.status, again.headers["ETag"]) == (200, first.headers["ETag"])
    stale = garden.spine.api.ask("GET", path, headers={"If-Match": '"0"'})
    assert stale.status == 412


async def test_the_earliest_time_there_is_can_be_replayed_from(garden: Garden) -> None:
    """Everything that is kept, that is."""
    path = garden.integration("https://example.com/", enabled=False)
    for since in ("0001-01-01T00:00:00Z", "1960-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        assert garden.ask("POST", f"{path}/replay", {"from": since})["note"]


# ── health, groups ────────────────────────────────────────────────────────────────────────────


async def test_the_relay_says_how_it_fares(garden: Garden) -> None:
    with sink() as taker:
        path = garden.integration(taker.url)
        paused = garden.integration(taker.url, enabled=False)
        garden.send("one")
        await until(lambda: taker.texts == ["one"], what="the line")
        whole = garden.ask("GET", "/relay")
        assert whole["integrations"]["paused"] >= 1
        assert whole["lines_per_second"] > 0
        assert whole["bytes_per_second"] > 0
        assert "int_" not in json.dumps(whole)
        assert "prj_" not in json.dumps(whole)
        mine = garden.ask("GET", f"/projects/{garden.project.id}/relay")
        assert {f"/integrations/{one['id']}" for one in mine["integrations"]} == {path, paused}
        assert mine["states"]["paused"] == 1
        assert sum(mine["states"].values()) == 2
        assert (mine["dead_letters"], mine["refused"], mine["gap_lines"]) == (0, 0, 0)
        assert (mine["lost_letters"], mine["refused_lost"]) == (0, 0)


async def test_a_filter_asks_for_the_group_of_a_device(garden: Garden) -> None:
    device = f"/devices/{garden.device.client}"
    listed = f"/projects/{garden.project.id}/devices"
    await until(lambda: len(garden.ask("GET", listed)) == 1, what="the device in the list")
    assert garden.ask("GET", device)["group"] == "default"
    with sink() as taker:
        shape = {"filter": {"include": [{"groups": ["canary"]}]}}
        path = garden.integration(taker.url, shape=shape)
        garden.send("in no group")

        def left_out() -> bool:
            return bool(garden.ask("GET", path)["status"]["left_out"].get("filter") == 1)

        await until(left_out, what="the line that is left out")
        assert garden.ask("PATCH", device, {"group": "canary"})["group"] == "canary"
        assert len(garden.ask("GET", f"{listed}?group=canary")) == 1
        assert garden.ask("GET", f"{listed}?group=default") == []
        number = 0

        def heard() -> bool:
            nonlocal number
            number += 1
            garden.send(f"canary {number}")
            return bool(taker.texts)

        await until(heard, what="a line of the group")
        assert "in no group" not in taker.texts
        for bad in ("", "Upper", "a" * 64, "-a", "a\n"):
            assert garden.spine.api.ask("PATCH", device, {"group": bad}).status == 422
        assert garden.ask("PATCH", device, {"group": None})["group"] == "default"
