"""Metrics, whole: a real agent's readings reach the hub, each type in a stream of its own."""

import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as families

from agent import status
from tests.deadline import until
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
