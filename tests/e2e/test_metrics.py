"""Metrics, whole: a real agent's readings reach the hub, each type in a stream of its own."""

import json
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as families

from agent import status
from tests.deadline import until
from tests.fixtures.client import Isaax
from tests.fixtures.rawdevice import measured, open_device
from tests.fixtures.spine import Device, Spine

ON_TYPES = ("cpu", "memory", "ps")
ON = "interval = 1.0\ncpu = true\nmemory = true\nps = true"


def scraped(spine: Spine, project: str) -> dict[str, set[str]]:
    """Give what the project's page for Prometheus shows: names of families, by device."""
    request = urllib.request.Request(
        f"{spine.api.base}/api/v1/projects/{project}/metrics/prometheus",
        headers={"Authorization": f"Bearer {spine.token}"},
    )
    with urllib.request.urlopen(request) as answer:
        text = answer.read().decode()
    found: dict[str, set[str]] = {}
    for family in families(text):
        for sample in family.samples:
            found.setdefault(sample.labels["device"], set()).add(family.name)
    return found


async def test_what_an_agent_measures_is_there_to_be_scraped(spine: Spine, tmp_path: Path) -> None:
    """The types that are on, and no others; by default there are none."""
    project = spine.project()
    measured = Device.make(tmp_path / "on", spine, project, "sleep 1000", metrics=ON)
    silent = Device.make(tmp_path / "off", spine, project, "echo here; sleep 1000")
    for device in (measured, silent):
        device.start()
    try:
        wanted = {"cpu_seconds", "memory_total_bytes", "process_memory_bytes", "process_cpu_ratio"}
        await until(
            lambda: wanted <= scraped(spine, project.id).get(measured.id, set()),
            what="all three types",
        )
        with spine.client() as hub:
            logs = hub.read_logs(project.id, stream="app", device=silent.id)
            await until(lambda: [line.message for line in logs] == ["here"], what="a line")
        found = scraped(spine, project.id)
        assert set(found) == {measured.id}
        with spine.client() as hub:
            series = hub.read_device_metrics(measured.id, name="memory_usage_ratio", step=10)
            await until(lambda: any(one.points for one in series), what="a point of a chart")
            (one,) = series
            assert {point.at.timestamp() % 10 for point in one.points} == {0}
            assert all(0 < point.value < 1 for point in one.points)
            known = {(metric.type, metric.name) for metric in hub.read_project_metrics(project.id)}
            assert {kind for kind, _ in known} == set(ON_TYPES)
            assert list(hub.read_device_metrics(silent.id)) == []
        assert not {name for name in found[measured.id] if name.startswith(("disk", "network"))}
        shown = status.read(measured.folder / "state")
        assert shown is not None
        assert {name for name in shown.streams if name.startswith("metric.")} == {
            "metric.cpu", "metric.memory", "metric.ps",
        }  # fmt: skip
    finally:
        assert [measured.stop(), silent.stop()] == [0, 0]


async def test_in_the_terminal(spine: Spine, isaax: Isaax) -> None:
    """Which there are, and how they went; and the API's own JSON."""
    isaax.log_in(spine.api.base, spine.token)
    project = spine.project("in the terminal")
    device = await open_device(spine.embedded.ports.mqtt, project.id, project.token, "pump-7")
    assert device.send(measured("room_celsius", 21.5), "metric.device")["op"] == "ack"
    with spine.client() as hub:
        listed = hub.read_project_metrics(project.id)
        await until(lambda: list(listed) != [], what="the metric")
    where = ("--project", project.id)
    assert "room_celsius" in isaax.said("metrics", "list", *where)
    assert "21.5" in isaax.said("metrics", "list", "--device", "pump-7", *where)
    for more in ((), ("--device", "pump-7")):
        shown = isaax.said("metrics", "show", "room_celsius", "--since", "1h", *more, *where)
        assert "\N{LOWER ONE EIGHTH BLOCK}" in shown
        assert "60 s" in shown
        (one,) = json.loads(isaax.said("metrics", "show", "room_celsius", "--json", *more, *where))
        assert [point["value"] for point in one["points"]] == [21.5]
    assert "Nothing is called" in isaax.run("metrics", "show", "nothing", *where).stderr
    device.close()


async def test_an_alert_goes_where_the_lines_of_a_project_go(spine: Spine, tmp_path: Path) -> None:
    """A device that is away: a line of the project's agents, and in the history."""
    project = spine.project()
    device = Device.make(tmp_path / "away", spine, project, "sleep 1000")
    device.start()
    try:
        with spine.client() as hub:
            devices = hub.list_devices(project.id, online=True)
            await until(lambda: len(list(devices)) == 1, what="a device")
            made = hub.create_alert_rule(
                project.id, {"name": "away", "kind": "offline", "minutes": 1, "severity": "crit"}
            ).value
            assert (made.firing, made.enabled) == (0, True)
    finally:
        assert device.stop() == 0
    with spine.client() as hub:
        await until(
            lambda: hub.get_alert_rule(made.id).value.firing == 1, timeout=120, what="the alert"
        )
        (alert,) = hub.list_alerts(project.id)
        assert (alert.rule, alert.device, alert.state) == (made.id, device.id, "fired")
        logs = hub.read_logs(project.id, stream="agent")

        def told() -> list[tuple[str, str, str]]:
            lines = [line for line in logs if line.program == "alerts"]
            return [(line.host, line.severity, line.message) for line in lines]

        await until(lambda: told() == [(alert.host, "crit", alert.text)], what="its line")
        hub.delete_alert_rule(made.id)
        assert list(hub.list_alert_rules(project.id)) == []
