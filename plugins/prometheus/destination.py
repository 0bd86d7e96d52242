"""Remote-write 1.0: https://prometheus.io/docs/specs/prw/remote_write_spec/."""

import base64
from typing import Any, Final

import cramjam

from hub import HttpTarget, MetricBatch, Tools
from plugins.prometheus.config import PrometheusConfig
from plugins.prometheus.labels import labels_of
from plugins.prometheus.messages import write_request_type

_LAST: Final = 2**63 - 1

Series = dict[tuple[tuple[str, str], ...], dict[int, float]]
"""Value by time (milliseconds) by labels."""


class RemoteWrite:
    """Writes samples."""

    def __init__(self, config: PrometheusConfig, tools: Tools) -> None:
        self._request = write_request_type()
        self._target = HttpTarget(tools, config.url, headers=_headers(config), ca=config.ca)

    async def send(self, batch: MetricBatch) -> None:
        """Write one batch; the receiver has taken it when this returns."""
        body = self._encode(series_of(batch))
        # "raw" snappy, which is the block format: the specification allows no other.
        answer = await self._target.push(bytes(cramjam.snappy.compress_raw(body)))
        answer.check(again=_comes_again)

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    def _encode(self, series: Series) -> bytes:
        request: Any = self._request()
        for labels, samples in series.items():
            one = request.timeseries.add()
            for name, value in labels:
                one.labels.add(name=name, value=value)
            for time in sorted(samples):
                one.samples.add(value=samples[time], timestamp=time)
        data: bytes = request.SerializeToString()
        return data


def series_of(batch: MetricBatch) -> Series:
    """Sort a batch's samples by series and time, as the specification asks for.

    Times are in milliseconds there: of two samples in the same one the last stays, because a
    receiver refuses a request with both.
    """
    series: Series = {}
    for chunk in batch.chunks:
        samples = chunk.samples
        rows = zip(
            samples.name_column(), samples.times, samples.values, samples.label_column(),
            strict=True,
        )  # fmt: skip
        for name, time, value, own in rows:
            labels = labels_of(
                {**own, **chunk.labels},
                project=chunk.project, device=chunk.device, host=chunk.host,
            )  # fmt: skip
            key = tuple(sorted({"__name__": name, **labels}.items()))
            series.setdefault(key, {})[_milliseconds(time)] = value
    return series


def _comes_again(status: int) -> bool:
    """Say what is sent again: 5xx must be, 429 may be, and every other 4xx must not be.

    Among those is 400 for samples that are out of order, or too old.
    """
    return status == 429 or status >= 500


def _milliseconds(microseconds: int) -> int:
    return min(max(microseconds // 1000, -_LAST), _LAST)


def _headers(config: PrometheusConfig) -> dict[str, str]:
    headers = {name: value.reveal() for name, value in config.headers.items()}
    if config.token:
        headers["Authorization"] = f"Bearer {config.token.reveal()}"
    elif config.username:
        pair = f"{config.username}:{config.password.reveal()}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    return headers | {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
