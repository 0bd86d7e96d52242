"""The data meter on a whole hub: what a device sends and is sent, to the byte."""

import msgspec

from tests.deadline import until
from tests.fixtures.rawdevice import batch, measured, open_device
from tests.fixtures.spine import Spine


async def test_every_byte_between_device_and_hub_counts_once(spine: Spine) -> None:
    """Lines, samples, a state and what the hub answers; also what came just before its end."""
    project = spine.project()
    device = await open_device(spine.embedded.ports.mqtt, project.id, project.token)
    path = f"/devices/{device.client}/data-usage"

    def total() -> dict[str, int]:
        found: dict[str, int] = spine.api.get(path)["total"]
        return found

    def is_open() -> bool:
        """It asked for a nonce and a session, and was sent them and its variables."""
        now = total()
        return now["up_messages"] == 2 and now["down_messages"] >= 3

    await until(is_open, what="a session")
    before, up, down = total(), 0, 0
    for number in range(5):
        stream, payload = "app", batch(f"line {number}", first=number)
        if not number:
            stream, payload = "metric.device", measured("of_mine_celsius", 20.5)
        up += len(device.topics.batches(stream)) + len(payload)
        answer = device.send(payload, stream)
        down += len(device.topics.ack) + len(msgspec.json.encode(answer))
    await until(lambda: total()["up_messages"] == 7, what="five batches")
    now = total()
    assert now["up_bytes"] - before["up_bytes"] == up
    # Besides what was said of them, it may have been sent variables.
    assert now["down_messages"] - before["down_messages"] >= 5
    assert now["down_bytes"] - before["down_bytes"] >= down
    (listed,) = spine.api.get(f"/projects/{project.id}/data-usage/devices")
    assert (listed["device"], listed["up_bytes"]) == (device.client, now["up_bytes"])
    assert spine.api.get(f"/projects/{project.id}/data-usage")["this_month"]["up_messages"] == 7
    device.publish(device.topics.state, b"{}")
    await until(lambda: total()["up_messages"] == 8, what="a state, which more than one hears")
    device.send(batch("the last", first=5))
    assert spine.stop_hub() == 0
    spine.start_hub()
    spine.await_ready()
    await until(lambda: total()["up_messages"] == 9, what="what it had not told yet")
    device.close()
