"""The audit log of a whole hub: every route that changes something, by being declared."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from nats.js.errors import NotFoundError

from hub import structs
from hub.database import Database
from hub.messaging.nats_transport import connect
from hub.plugins import PluginHost
from hub.protocol import decode_lines
from tests.fixtures.parts import run_now
from tests.fixtures.spine import ROOT, Answer, Api, Spine
from tests.fixtures.tenants import (
    CLOSED,
    MOVING,
    ROUTES,
    AnyRoute,
    Tenant,
    body_of,
    let_in,
    name_of,
    path_of,
    wait,
)

MASK: Final = "********"
DOCS = Path(__file__).parents[2] / "docs" / "audit.md"


def entries(api: Api, query: str = "") -> list[dict[str, Any]]:
    """Give the account's whole log, newest first."""
    found: list[dict[str, Any]] = []
    path = f"/audit?limit=200{query}"
    while path:
        answer = api.ask("GET", path)
        assert answer.status == 200, answer
        found += answer.body
        link = re.search(r'</api/v1([^>]+)>; rel="next"', answer.headers.get("Link", ""))
        path = link[1] if link else ""
    return found


def entry_of(api: Api, request: str) -> dict[str, Any]:
    """Wait for the entry of a request, and give it; there is one and no more."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [one for one in entries(api) if one["request"] == request]
        return bool(found)

    wait(there, f"the entry of {request}")
    assert len(found) == 1
    return found[0]


def changing() -> list[AnyRoute]:
    """Give every route by which a token changes something, those that take most away last."""
    found = [r for r in CLOSED if r.method != "GET" and not r.interactive and not r.unaudited]
    kept = [route for route in found if route.method != "DELETE"]
    dropped = [route for route in found if route.method == "DELETE"]
    whole = "/api/v1/projects/{project}"
    return kept + sorted(dropped, key=lambda route: (route.path == whole, -len(route.path)))


def ask(tenant: Tenant, route: AnyRoute) -> Answer:
    """Use a route on one's own things, by its example, or with what it needs of them."""
    body = body_of(route)
    if isinstance(body, dict) and "project" in body:
        body = {"project": tenant.ids["project"]}
    return tenant.api.ask(route.method, path_of(route, tenant.ids), body)


def at_rest(thing: Any) -> Any:
    """Leave out what moves by itself; mask what is shown once."""
    if not isinstance(thing, dict):
        return thing
    masked = {"token": MASK} if thing.get("token") else {}
    return {
        key: value
        for key, value in (thing | masked).items()
        if key not in MOVING | {"sent", "waiting", "firing"}
    }


def test_each_change_leaves_one_entry_with_what_was_before_and_after(
    owner: Tenant, other: Tenant
) -> None:
    """Who, what, from where, to what; in the account that asked, and in no other."""
    gets = {route.path: route for route in ROUTES if route.method == "GET"}
    tried = 0
    for route in changing():
        reader = gets.get(route.path) if route.method != "POST" else None
        shown = ask(owner, reader) if reader else None
        answer = ask(owner, route)
        assert answer.status < 500, (name_of(route), answer)
        entry = entry_of(owner.api, answer.headers["X-Request-Id"])
        assert entry["action"] == name_of(route)
        assert entry["summary"] == route.summary
        assert (entry["status"], entry["outcome"]) == (
            answer.status, "done" if answer.status < 400 else "failed",
        ), name_of(route)  # fmt: skip
        assert entry["notes"] == [], "nobody else changed anything: it was held to what was read"
        assert entry["actor"]["kind"] == "token"
        assert entry["actor"]["id"].startswith("apt_")
        assert (entry["address"], entry["agent"]) == (
            "127.0.0.1", "isaax-client",
        )  # fmt: skip
        named = {name: owner.ids[name] for name in re.findall(r"\{(\w+)\}", route.path)}
        assert entry["object"].items() >= named.items()
        says = shown.body if shown is not None and isinstance(shown.body, dict) else {}
        if "project" in named or says.get("project"):
            assert entry["project"] == owner.ids["project"], name_of(route)
        if shown is not None and shown.status == 200 and says:
            assert at_rest(entry["before"]) == at_rest(says), name_of(route)
        if answer.status < 300 and isinstance(answer.body, dict):
            assert at_rest(entry["after"]) == at_rest(answer.body), name_of(route)
            if entry["before"] is not None:
                assert entry["changed"] or entry["before"] == entry["after"]
        tried += 1
    assert tried > 18
    theirs = {entry["id"] for entry in entries(other.api)}
    assert theirs.isdisjoint(entry["id"] for entry in entries(owner.api))


def test_an_account_never_sees_anothers(owner: Tenant, other: Tenant) -> None:
    """Whatever is asked for: every entry is of things of one's own."""
    mine = set(owner.ids.values()) - set(other.ids.values())
    for name in ("", f"&object={owner.ids['device']}", f"&project={owner.ids['project']}"):
        found = entries(other.api, name)
        assert mine.isdisjoint(re.findall(r'"([^"]+)"', json.dumps(found))), name
        if name:
            assert found == []
    answer = other.api.ask("GET", f"/projects/{owner.ids['project']}/audit")
    assert answer.status == 404
    assert other.api.ask("PUT", "/audit/export", {"project": owner.ids["project"]}).status == 404


def test_what_was_tried_without_a_right_is_in_the_log_of_who_tried(
    spine: Spine, other: Tenant
) -> None:
    """Another account's things are not there, and that one tried is one's own to know."""
    gone = other.api.ask("DELETE", "/projects/prj_zzzzzzzzzzzzzzzzzzzz")
    entry = entry_of(other.api, gone.headers["X-Request-Id"])
    assert (entry["outcome"], entry["status"], entry["code"]) == ("failed", 404, "not-found")
    stolen = Api(other.api.base, "isx_stolen").ask("GET", "/projects")
    assert stolen.status == 401
    printed: list[str] = []

    def told() -> bool:
        printed[:] = isaax(spine, "show", "--account", "hub")[1].splitlines()
        return any(json.loads(line)["action"] == "GET /api/v1/projects" for line in printed)

    wait(told, "the attempt in the hub's own log")
    assert "isx_stolen" not in "".join(printed)


def test_what_a_device_was_refused_is_in_the_log_of_its_account(
    spine: Spine, owner: Tenant, other: Tenant
) -> None:
    """A topic of another tenant: nobody gets the message, and there is a row."""
    stranger = let_in(spine, other.project)
    stranger.publish("d/prj_1/dev_1/x/log/app", b"forged")
    stranger.subscribe(f"{owner.device.topics.down}/#")
    for kind, topic in (("publish", "d/prj_1/dev_1/x/log/app"), ("subscribe", "c/")):
        found: list[dict[str, Any]] = []

        def told(kind: str = kind, found: list[dict[str, Any]] = found) -> bool:
            named = f"&action=broker.{kind}&actor={stranger.client}"
            found[:] = entries(other.api, named)
            return bool(found)

        wait(told, f"the row of what it wanted to {kind}")
        (one,) = found
        assert (one["outcome"], one["code"], one["project"]) == (
            "refused", kind, other.project.id,
        )  # fmt: skip
        assert one["actor"]["kind"] == "device"
        assert one["after"]["refused"].startswith(topic)
    stranger.close()
    session = owner.device.topics.down.rpartition("/")[2]
    assert session not in json.dumps(entries(other.api)), "it would open the topics"


# ── reading ──


def test_pages_and_filters(other: Tenant) -> None:
    api = other.api
    everything = entries(api)
    seqs = [entry["seq"] for entry in everything]
    assert seqs == [*range(len(seqs), 0, -1)], "newest first, without a gap"
    paged: list[int] = []
    path = "/audit?limit=2"
    for _ in range(3):
        answer = api.ask("GET", path)
        paged += [entry["seq"] for entry in answer.body]
        path = answer.headers["Link"].split("</api/v1")[1].split(">")[0]
    assert paged == seqs[:6]
    actor = everything[0]["actor"]["id"]
    for name, matches in (
        (f"actor={actor}", lambda e: e["actor"]["id"] == actor),
        ("action=device.registered", lambda e: e["action"] == "device.registered"),
        (f"object={other.ids['token']}", lambda e: other.ids["token"] in e["object"].values()),
        ("outcome=failed", lambda e: e["outcome"] == "failed"),
        (f"project={other.ids['project']}", lambda e: e["project"] == other.ids["project"]),
        (f"since={everything[3]['at']}", lambda e: e["at"] >= everything[3]["at"]),
        (f"until={everything[3]['at']}", lambda e: e["at"] < everything[3]["at"]),
    ):
        found = api.get(f"/audit?limit=200&{name.replace('+', '%2B')}")
        assert found == [entry for entry in everything if matches(entry)], name
        assert found, name
    of_project = api.get(f"/projects/{other.ids['project']}/audit?limit=200")
    assert of_project == [e for e in everything if e["project"] == other.ids["project"]]
    assert {"POST /api/v1/projects", "device.registered"} <= {e["action"] for e in of_project}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "outcome=good", "since=today", "since=2026-01-01T00:00:00",
     "cursor=x", "unknown=1"],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(other: Tenant, query: str) -> None:
    assert other.api.ask("GET", f"/audit?{query}").status == 422


def test_any_moment_can_be_asked_for(other: Tenant) -> None:
    for moment in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert other.api.ask("GET", f"/audit?since={moment}&until={moment}").body == []


# ── the terminal ──


def isaax(spine: Spine, *arguments: str) -> tuple[int, str]:
    """Run `isaax audit …` as the operator does."""
    command = [sys.executable, "-P", "-m", "hub.cli", "audit", *arguments]
    done = subprocess.run(
        [*command, "--config", str(spine.write_config())],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_operator_verifies_every_chain(spine: Spine, owner: Tenant, tmp_path: Path) -> None:
    """And names what was done to one, by its exit code too."""
    code, said = isaax(spine, "verify")
    assert (code, "BROKEN" in said) == (0, False)
    account = next(line.split(":")[0] for line in said.splitlines() if line.startswith("acc_"))
    _, written = isaax(spine, "heads")
    heads = tmp_path / "heads"
    heads.write_text(written)
    assert isaax(spine, "verify", "--heads", str(heads))[0] == 0
    head = next(line.split()[1] for line in written.splitlines() if line.startswith(account))
    assert isaax(spine, "verify", "--account", account, "--head", head)[0] == 0
    seq = int(head.partition(":")[0])
    code, said = isaax(spine, "verify", "--account", account, "--head", f"{seq + 9}:{'0' * 64}")
    assert (code, said) == (
        1,
        f"{account}: BROKEN after {said.split('after ')[1].split(': ')[0]}: entries "
        f"{int(said.split('entries ')[1].split()[0])} to {seq + 9} are missing: the chain was cut "
        "short\n",
    )
    heads.write_text("nonsense")
    assert "heads:1: " in isaax(spine, "verify", "--heads", str(heads))[1]
    assert isaax(spine, "verify", "--head", head)[0] == 2


# ── secrets ──


def test_no_secret_is_in_the_log_or_in_what_is_sent_of_it(spine: Spine) -> None:
    """One of everything that has one is made; the tables and the streams hold none of them."""
    api = spine.api
    project = api.make("/projects", {"name": "secrets"})["id"]
    assert api.ask("PUT", "/audit/export", {"project": project}).status == 200
    secrets = [spine.token]
    keyed = {"Idempotency-Key": "secret-1"}
    for _ in range(2):
        made = api.ask("POST", f"/projects/{project}/tokens", {"name": "a"}, keyed)
        secrets.append(made.body["token"])
    kinds = 0
    for kind in PluginHost.load(quiet=True).destinations.values():
        for example in kind.examples:
            found = structs.secrets_in(structs.decode(kind.config, example))
            if not found:
                continue
            body = {"type": kind.name, "name": kind.name, "config": example}
            integration = api.make(f"/projects/{project}/integrations", body)["id"]
            change = {"config": example, "name": "renamed"}
            assert api.ask("PUT", f"/integrations/{integration}", change).status == 200
            tested = api.ask("POST", f"/projects/{project}/integrations/test", body)
            assert tested.status < 500
            secrets += found
            kinds += 1
            break
    assert kinds > 8
    last = api.ask("DELETE", f"/projects/{project}/tokens/{made.body['id']}")
    seq = entry_of(api, last.headers["X-Request-Id"])["seq"]

    def sent() -> bool:
        return bool(api.get("/audit/export")["sent"] >= seq)

    wait(sent, "the log in the stream")
    haystack = run_and_give(everything_of(spine))
    assert seq_is_there(haystack, seq)
    long = {secret for secret in secrets if len(secret) >= 8}
    assert len(long) > 8
    for secret in long:
        assert secret not in haystack


def seq_is_there(haystack: str, seq: int) -> bool:
    """The search looks where it has to."""
    return f'"seq":{seq},' in haystack and "renamed" in haystack and MASK in haystack


def run_and_give(work: Any) -> str:
    found: list[str] = []

    async def run() -> None:
        found.append(await work)

    run_now(run())
    return found[0]


async def everything_of(spine: Spine) -> str:
    """Give all texts of the audit log's tables, and all that JetStream holds."""
    texts: list[str] = []
    async with Database.open(spine.embedded.postgres.settings) as database, database.system() as tx:
        for table in ("audit_pending", "audit_entry", "audit_value"):
            rows = await tx.raw.fetch(f"SELECT to_jsonb(t)::text FROM {table} AS t")
            texts += [row[0].replace('\\"', '"') for row in rows]
    async with connect(spine.embedded.nats.settings) as nats:
        js = nats.jetstream()
        for info in await js.streams_info():
            for number in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
                try:
                    message = await js.get_msg(info.config.name or "", number)
                except NotFoundError:
                    continue
                data = message.data or b""
                texts.append(data.decode(errors="replace"))
                if (message.subject or "").startswith("relay."):
                    texts += decode_lines(data).messages
    return "\n".join(texts)


# ── what the docs say ──


def test_routes_that_are_not_audited_are_listed_with_their_reasons() -> None:
    text = DOCS.read_text()
    for route in ROUTES:
        if route.unaudited:
            assert f"| `{name_of(route)}` | {route.unaudited} |" in text
        if route.audited:
            assert f"| `{name_of(route)}` |" in text
