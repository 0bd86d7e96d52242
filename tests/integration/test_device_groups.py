"""Groups and tags of devices, and finding devices by whatever is known of them."""

import asyncio
import uuid
from typing import Any

import pytest

from hub.contracts import EventInfo
from hub.memory_bus import MemoryBus
from hub.outbox import Outbox
from services.devices import group_contracts as g
from services.devices import peers
from services.devices.groups import name_groups
from services.devices.service import Devices
from tests.deadline import until
from tests.fixtures.fleet import MINE, OTHERS, Fleet


def names(page: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in page]


async def test_a_group_is_there_from_the_first_time_that_somebody_names_it(
    both: Fleet,
) -> None:
    _, page = await both.call("GET", "groups")
    assert [(one["name"], one["devices"], one["online"]) for one in page] == [("default", 3, 0)]
    await both.ask([{"device": "dev_a", "group": "canary"}, {"device": "dev_b", "group": "canary"}])
    _, page = await both.call("GET", "groups")
    assert [(one["name"], one["devices"]) for one in page] == [("default", 1), ("canary", 2)]
    status, group = await both.call("GET", "groups/canary")
    assert (status, group["devices"]) == (200, 2)
    assert (await both.call("GET", "groups/unknown"))[0] == 404


async def test_a_group_is_made_described_and_deleted(both: Fleet) -> None:
    body = {"name": "osaka", "description": "The second site"}
    status, made = await both.call("POST", "groups", body)
    assert (status, made["description"], made["devices"]) == (201, "The second site", 0)
    assert (await both.call("POST", "groups", body))[0] == 409
    status, changed = await both.call("PATCH", "groups/osaka", {"description": "Closed"})
    assert (status, changed["description"]) == (200, "Closed")
    stale = {"If-Match": '"1"'}
    assert (await both.call("DELETE", "groups/osaka", **stale))[0] == 412
    assert (await both.call("DELETE", "groups/osaka"))[0] == 204
    assert names((await both.call("GET", "groups"))[1]) == ["default"]
    async with both.database.system() as tx:
        told = await tx.raw.fetch(
            "SELECT convert_from(payload, 'UTF8') FROM outbox WHERE subject = $1",
            g.DELETED.wire_subject,
        )
    assert ["osaka" in row[0] for row in told] == [True]


async def test_a_group_with_devices_in_it_and_the_one_of_every_project_stay(
    both: Fleet,
) -> None:
    await both.ask([{"device": "dev_a", "group": "canary"}])
    assert (await both.call("DELETE", "groups/canary"))[0] == 409
    assert (await both.call("DELETE", "groups/default"))[0] == 409
    assert (await both.call("POST", "groups", {"name": "default"}))[0] == 409
    assert names((await both.call("GET", "groups"))[1]) == ["default", "canary"]


@pytest.mark.parametrize("name", ["", "Upper", "-dash", "a b", "x" * 64, "a\n"])
async def test_names_of_groups_are_checked(both: Fleet, name: str) -> None:
    assert (await both.call("POST", "groups", {"name": name}))[0] == 422


async def test_tags_are_given_and_taken_of_many_at_once(both: Fleet) -> None:
    tags = ["site:osaka", "floor=2"]
    await both.ask([{"device": name, "add_tags": tags} for name in ("dev_a", "dev_b")])
    await both.ask(
        [{"device": "dev_b", "add_tags": ["beta", "beta"], "remove_tags": ["floor=2", "none"]}]
    )
    _, page = await both.call("GET", "devices")
    assert {one["id"]: one["tags"] for one in page} == {
        "dev_a": ["floor=2", "site:osaka"], "dev_b": ["beta", "site:osaka"], "dev_c": [],
    }  # fmt: skip
    status, _ = await both.ask([{"device": "dev_a", "add_tags": ["no,comma"]}])
    assert status == 422


async def test_a_device_has_no_more_tags_than_it_may(both: Fleet) -> None:
    """However they come together: else nothing of it could be changed any more."""
    most = [f"tag-{n}" for n in range(32)]
    await both.ask([{"device": "dev_a", "add_tags": most}])
    changes = [{"device": name, "add_tags": ["one-more"]} for name in ("dev_a", "dev_b")]
    _, outcomes = await both.ask(changes)
    assert [one["status"] for one in outcomes] == [422, 200]
    swapped = {"device": "dev_a", "add_tags": ["one-more"], "remove_tags": ["tag-0"]}
    _, outcomes = await both.ask([swapped, {"device": "dev_c", "label": "c"}])
    assert [one["status"] for one in outcomes] == [200, 200]


async def test_a_group_that_a_device_is_put_into_is_not_deleted_meanwhile(both: Fleet) -> None:
    await both.call("POST", "groups", {"name": "canary"})
    async with both.database.transaction(account=MINE) as tx:
        await name_groups(tx, MINE, both.project, ["canary"])
        deleting = asyncio.create_task(both.call("DELETE", "groups/canary"))

        async def waits() -> bool:
            async with both.database.system() as other:
                return bool(
                    await other.raw.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
                )

        await until(waits, what="the deletion to wait")
        await tx.raw.execute("UPDATE devices_device SET \"group\" = 'canary' WHERE id = 'dev_a'")
    assert (await deleting)[0] == 409
    assert names((await both.call("GET", "groups"))[1]) == ["default", "canary"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tags=site:osaka", ["dev_a", "dev_b"]),
        ("tags=site:osaka,beta", ["dev_b"]),
        ("tags=site", []),
        ("q=GREEN", ["dev_a"]),
        ("q=192.0.2.", ["dev_c"]),
        ("q=osaka", ["dev_a", "dev_b"]),
        ("q=%25", []),
        ("q=_", ["dev_a", "dev_b", "dev_c"]),
        ("q=dev_b", ["dev_b"]),
        ("online=true", ["dev_c"]),
        ("status=active", ["dev_c"]),
        ("status=waiting", []),
        ("group=default&tags=beta", ["dev_b"]),
    ],
)
async def test_devices_are_found_by_whatever_is_known_of_them(
    both: Fleet, query: str, found: list[str]
) -> None:
    await both.ask(
        [
            {"device": "dev_a", "label": "Greenhouse-1", "add_tags": ["site:osaka"]},
            {"device": "dev_b", "add_tags": ["site:osaka", "beta"]},
        ]
    )
    opened = peers.DeviceEvent(
        "opened", MINE, both.project, "dev_c", session="s", addresses=("192.0.2.7",)
    )
    await heard(both, opened)
    status, page = await both.call("GET", f"devices?{query}")
    assert (status, [one["id"] for one in page]) == (200, found)


async def test_nobody_sees_the_groups_of_others(both: Fleet) -> None:
    await both.ask([{"device": "dev_a", "group": "canary"}])
    stranger = {"who": f"{OTHERS}:owner"}
    assert (await both.call("GET", "groups", **stranger))[0] == 404
    assert (await both.call("GET", "groups/canary", **stranger))[0] == 404
    assert (await both.call("DELETE", "groups/canary", **stranger))[0] == 404
    assert (await both.call("POST", "groups", {"name": "mine"}, **stranger))[0] == 404


async def test_a_device_that_waits_is_shown_so_until_it_is_approved(both: Fleet) -> None:
    registered = peers.DeviceEvent(
        "registered", MINE, both.project, "dev_new", group="fresh", waits=True
    )
    await heard(both, registered)
    _, page = await both.call("GET", "devices?status=waiting")
    assert [(one["id"], one["group"]) for one in page] == [("dev_new", "fresh")]
    await heard(both, peers.DeviceEvent("approved", MINE, both.project, "dev_new"))
    _, page = await both.call("GET", "devices?status=pending&group=fresh")
    assert [one["id"] for one in page] == ["dev_new"]
    assert names((await both.call("GET", "groups"))[1]) == ["default", "fresh"]


async def heard(both: Fleet, event: peers.DeviceEvent) -> None:
    """Let the service hear of what happened to a device."""
    rules = Devices(both.database, Outbox(None), MemoryBus())
    await rules.device_changed(event, EventInfo(str(uuid.uuid4()), event.device, 1))
