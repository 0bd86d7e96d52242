"""Many devices changed by one request: each outcome by itself, in order, and never another's."""

import asyncio
from typing import Any

import pytest

from tests.fixtures.fleet import MINE, OTHERS, Fleet


async def test_each_device_has_an_outcome_of_its_own_in_order(both: Fleet) -> None:
    changes = [
        {"device": "dev_b", "group": "canary"},
        {"device": "dev_nobody", "group": "canary"},
        {"device": "dev_a", "label": "greenhouse", "if_match": '"1"'},
        {"device": "dev_x", "label": "stolen"},
        {"device": "dev_c", "group": "canary", "if_match": '"7"'},
        {"device": "dev_b", "group": "other"},
    ]
    status, outcomes = await both.ask(changes)
    assert status == 200
    assert [one["device"] for one in outcomes] == [one["device"] for one in changes]
    assert [one["status"] for one in outcomes] == [200, 404, 200, 404, 412, 422]
    assert [one.get("etag") for one in outcomes] == ['"2"', None, '"2"', None, None, None]
    problems = [one["problem"]["type"] for one in outcomes if "problem" in one]
    assert problems == [
        "/problems/not-found", "/problems/not-found", "/problems/precondition-failed",
        "/problems/invalid",
    ]  # fmt: skip
    assert await both.stored() == {
        "dev_a": ("greenhouse", "default", 2),
        "dev_b": ("", "canary", 2),
        "dev_c": ("", "default", 1),
        "dev_x": ("", "default", 1),
    }
    assert await both.told() == 2


async def test_who_may_not_changes_nothing(both: Fleet) -> None:
    before = await both.stored()
    changes = [{"device": "dev_a", "group": "g"}, {"device": "dev_x", "group": "g"}]
    assert (await both.ask(changes, who=f"{MINE}:viewer"))[0] == 403
    assert (await both.ask(changes, project=both.other_project))[0] == 404
    status, outcomes = await both.ask(changes, who=f"{OTHERS}:owner", project=both.other_project)
    assert (status, [one["status"] for one in outcomes]) == (200, [404, 200])
    assert await both.stored() == before | {"dev_x": ("", "g", 2)}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ([], "/changes"),
        ([{"device": "dev_a"}] * 501, "/changes"),
        ([{"device": "dev_a", "group": "ok"}, {"device": "dev_b", "group": "No!"}],
         "/changes/1/group"),
        ([{"device": "dev_a", "label": "a\nb"}], "/changes/0/label"),
        ([{"device": "dev_a", "status": "active"}], "/changes/0/status"),
    ],
)  # fmt: skip
async def test_what_is_not_well_formed_changes_nothing(
    both: Fleet, changes: Any, pointer: str
) -> None:
    before = await both.stored()
    status, problem = await both.ask(changes)
    assert (status, [one["pointer"] for one in problem["errors"]]) == (422, [pointer])
    assert await both.stored() == before


async def test_a_retry_changes_nothing_twice(both: Fleet) -> None:
    key = {"Idempotency-Key": "canary-1"}
    changes = [{"device": "dev_a", "group": "canary"}]
    first, second = [await both.ask(changes, **key) for _ in range(2)]
    assert first == second
    assert (await both.stored())["dev_a"] == ("", "canary", 2)


async def test_requests_for_the_same_devices_do_not_block_each_other(both: Fleet) -> None:
    """Whatever order they name them in."""
    names = ["dev_a", "dev_b", "dev_c"]
    asked = [
        both.ask([{"device": name, "group": f"g{n}"} for name in (names, names[::-1])[n % 2]])
        for n in range(20)
    ]
    answers = await asyncio.gather(*asked)
    assert {one["status"] for status, body in answers for one in body} == {200}
    stored = await both.stored()
    assert {stored[name][2] for name in names} == {21}
    assert len({stored[name][1] for name in names}) == 1


async def test_five_hundred_at_once(both: Fleet) -> None:
    status, outcomes = await both.ask(
        [{"device": f"dev_{n}"} for n in range(499)] + [{"device": "dev_a", "label": "last"}]
    )
    assert (status, len(outcomes), outcomes[-1]["status"]) == (200, 500, 200)
