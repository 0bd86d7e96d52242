"""What devices said last, as Prometheus scrapes it.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4) and
https://prometheus.io/docs/specs/om/open_metrics_spec/ (OpenMetrics 1.0)
"""

from collections.abc import Iterable
from typing import Final

from hub import LatestSamples
from plugins.prometheus.labels import labels_of

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

STALE: Final = 5 * 60 * 1_000_000
"""Microseconds after which a value is too old to be shown: Prometheus' own lookback."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Page:
    """Gathers the latest samples of a project, family by family.

    Args:
        now: microseconds since the Unix epoch.
    """

    def __init__(self, project: str, *, now: int) -> None:
        self._project = project
        self._oldest = now - STALE
        self._series: dict[str, dict[str, tuple[int, float]]] = {}
        self._counters: dict[str, bool] = {}

    def add(self, latest: LatestSamples) -> None:
        """Take the samples of one message, but for those that are too old."""
        rows = zip(
            latest.names, latest.times, latest.values, latest.labels, latest.counters, strict=True
        )
        for name, time, value, own, counter in rows:
            if time < self._oldest:
                continue
            labels = labels_of(own, project=self._project, device=latest.device, host=latest.host)
            text = ",".join(f'{key}="{labels[key].translate(_ESCAPES)}"' for key in sorted(labels))
            family = self._series.setdefault(name, {})
            if text not in family or family[text][0] <= time:
                family[text] = (time, value)
            self._counters[name] = counter and self._counters.get(name, True)

    def text(self, media: str) -> str:
        """Write the page in one of the two formats.

        Each sample has its own time: that of the device, which may be offline by now.
        """
        rows: Iterable[str]
        rows = [*self._open_metrics(), "# EOF"] if media == OPEN_METRICS else self._plain()
        return "".join(f"{row}\n" for row in rows)

    def _plain(self) -> Iterable[str]:
        for name in sorted(self._series):
            yield f"# TYPE {name} {'counter' if self._counters[name] else 'gauge'}"
            for labels, (time, value) in sorted(self._series[name].items()):
                yield f"{name}{{{labels}}} {value!r} {time // 1000}"

    def _open_metrics(self) -> Iterable[str]:
        """A counter's sample has to end in `_total`, which its family's name then lacks."""
        for name in sorted(self._series):
            family, kind = name, "unknown" if self._counters[name] else "gauge"
            if self._counters[name] and name.endswith("_total"):
                family, kind = name.removesuffix("_total"), "counter"
            yield f"# TYPE {family} {kind}"
            for labels, (time, value) in sorted(self._series[name].items()):
                yield f"{name}{{{labels}}} {value!r} {time // 1_000_000}.{time % 1_000_000:06d}"
