"""The end of an account on a whole hub: nothing of it is left, and nothing else is touched."""

import hashlib
import io
import json
import urllib.request
import zipfile
from typing import Any

from tests.fixtures.ending import SECRET, ending, wait
from tests.fixtures.rawdevice import batch
from tests.fixtures.spine import Spine
from tests.fixtures.tenants import Tenant


def at_rest(tenant: Tenant) -> Any:
    """Give all that can be read of an account, and its lines; not how the whole relay fares."""
    logs = tenant.api.get(f"/projects/{tenant.ids['project']}/logs")
    found = [one for one in tenant.everything() if not (isinstance(one, dict) and "refused" in one)]
    return [*found, logs]


def test_what_is_taken_along(spine: Spine) -> None:
    """One archive of JSON lines with everything that is the account's own, and no secret."""
    one = ending(spine)
    made = one.tenant.api.make(f"{one.path}/exports", None)
    request = urllib.request.Request(
        one.tenant.api.base + made["archive"],
        headers={"Authorization": f"Bearer {one.tenant.api.token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.headers["Content-Type"] == "application/zip"
        assert "attachment" in response.headers["Content-Disposition"]
        raw = response.read()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    files = {
        name.removesuffix(".ndjson"): [json.loads(line) for line in text.splitlines()]
        for name, text in texts.items()
        if name.endswith(".ndjson")
    }
    assert json.loads(texts["about.json"])["account"] == one.account
    ids = one.tenant.ids
    assert {p["name"] for p in files["projects"]} == {"tenant", "empty"}
    assert [d["id"] for d in files["devices"]] == [ids["device"]]
    assert {i["type"] for i in files["integrations"]} == {"syslog", "file", "loggly"}
    assert one.owner.email in {m["email"] for m in files["members"]}
    assert {m["narrowed"].get(ids["project"]) for m in files["members"]} >= {"viewer"}
    everything = "".join(texts.values())
    for secret in (SECRET, one.tenant.project.token, one.tenant.api.token, one.tenant.device.key):
        assert secret not in everything
    for device in one.tenant.device.family:
        device.close()


def test_devices_are_cut_off_and_come_back_with_the_undo(spine: Spine, other: Tenant) -> None:
    """The connection that is open, and every new one, until an owner undoes it."""
    one = ending(spine)
    device = one.tenant.device
    assert one.close().status == 202
    assert device.drops.get(timeout=20) != 0
    again = device.again(previous=device.session)
    wait(lambda: again.connect() != 0, "the token to be void")
    again.close()
    assert other.device.send(batch("still here", first=2))["seq"] == 2
    assert one.session().ask("DELETE", f"{one.path}/deletion").status == 204
    back: list[Any] = []

    def is_let_in() -> bool:
        found = device.again(previous=device.session)
        if found.connect() != 0:
            found.close()
            return False
        back.append(found)
        return True

    wait(is_let_in, "the token to count again")
    (found,) = back
    assert found.subscribe(f"auth/{found.client}/down") == 1
    assert found.hello().send(batch("back again", first=3))["seq"] == 3
    found.close()


def test_nothing_is_left_and_nobody_else_is_touched(spine: Spine, other: Tenant) -> None:
    """In no row of any table, no message or consumer of any stream, no file; but a report."""
    one = ending(spine)
    before, mine = one.traces(), at_rest(other)
    assert {"accounts_member", "accounts_narrowed", "auth_device", "devices_device",
            "gateway_idempotency", "messages_integration", "projects_project", "relay_marks",
            "relay_cursors", "vault_data_keys"} <= before["rows"].keys()  # fmt: skip
    assert {"RELAY_0", "DEAD", "EVENTS"} <= before["messages"].keys()
    assert before["files"]
    closing = one.close()
    assert closing.status == 202
    counts = closing.body["counts"]
    assert (counts["projects"], counts["devices"], counts["integrations"]) == (2, 1, 3)
    assert (counts["lines"] >= 2, counts["dead_letters"]) == (True, 1)
    one.is_due()
    spine.stop_hub()
    spine.start_hub()
    wait(one.is_gone, "the account to be gone")
    one.check_nothing_is_left()
    (report,) = one.sql(
        "SELECT counted, erased_at >= begun_at AS ended FROM accounts_erased WHERE digest = $1",
        hashlib.sha256(one.account.encode()).digest(),
    )
    assert report["ended"]
    kept = report["counted"]
    assert kept["projects"]["projects"] == 2
    assert kept["devices"] == {"devices": 1, "groups": 2}
    assert kept["accounts"]["members"] == 4
    spine.stop_hub()
    spine.start_hub()
    one.check_nothing_is_left()
    assert one.tenant.api.ask("GET", "/projects").status == 401
    # A relay that has just started may not know yet what a device is called.
    wait(lambda: at_rest(other) == mine, "the other one to be as it was")
    for device in one.tenant.device.family:
        device.close()


def test_of_a_person_and_their_account_nothing_is_left(spine: Spine, other: Tenant) -> None:
    """Neither of them, anywhere: but for the ids in audit logs, which are nobody's then."""
    one, mine = ending(spine), at_rest(other)
    person = {one.owner.id, one.owner.email}
    one.sql(
        'DELETE FROM accounts_member WHERE account = $1 AND "user" <> $2',
        one.account, one.owner.id,
    )  # fmt: skip
    assert one.traces(person)["rows"].keys() >= {"accounts_user", "accounts_member"}
    session = one.session()
    asked = session.ask("DELETE", "/users/me")
    assert (asked.status, asked.body["state"]) == (202, "waiting")
    assert [(a["id"], a["outcome"]) for a in asked.body["accounts"]] == [(one.account, "deleted")]
    assert session.ask("GET", "/users/me").status == 401
    again = one.session()
    assert again.ask("GET", "/users/me/deletion").body["state"] == "waiting"
    one.is_due()
    one.sql('UPDATE accounts_departure SET due_at = now() WHERE "user" = $1', one.owner.id)
    spine.stop_hub()
    spine.start_hub()
    wait(lambda: one.has_left(one.owner.id), "the person to be gone")
    one.check_nothing_is_left(person)
    # A relay that has just started may not know yet what a device is called.
    wait(lambda: at_rest(other) == mine, "the other one to be as it was")
    for device in one.tenant.device.family:
        device.close()
