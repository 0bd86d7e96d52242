"""Batches as PutLogEvents calls: in order in each stream, some streams at once."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from hub import Batch, Partial, Rejected, Retry, Tools, push_lanes
from plugins.cloudwatch.api import Logs, Missing, RejectedInfo, Taken
from plugins.cloudwatch.config import CloudWatchConfig
from plugins.cloudwatch.events import Request, requests

CONCURRENCY: Final = 8
"""Log streams that are written to at once: a batch of many devices has many, and a call takes its
time. What is not done in time comes again, so that a batch should never take longer."""


class CloudWatch:
    """Puts lines into log streams."""

    def __init__(self, config: CloudWatchConfig, tools: Tools) -> None:
        self._config = config
        self._logs = Logs(config, tools)

    async def send(self, batch: Batch) -> None:
        """Push one batch; CloudWatch has taken it when this returns.

        Raises:
            Partial: events are older or newer than it takes, or longer.
            Retry, Rejected: as the service answers.
        """
        found, refused = requests(batch, self._config)
        await push_lanes(found, self._put, concurrency=CONCURRENCY, rejected=refused)

    async def close(self) -> None:
        """Nothing is held: every call was answered."""

    async def _put(self, request: Request) -> None:
        content = {
            "logGroupName": request.group,
            "logStreamName": request.stream,
            "logEvents": [msgspec.Raw(item) for item in request.items],
        }
        taken = await self._call(request, content)
        info = taken.rejected_log_events_info
        if info is not None:
            rejected = [
                (request.indexes[at], reason) for at, reason in _left_out(info, len(request.items))
            ]
            if rejected:
                raise Partial(rejected=rejected)

    async def _call(self, request: Request, content: dict[str, Any]) -> Taken:
        try:
            answer = await self._logs.call("PutLogEvents", content)
        except Missing as missing:
            if not self._config.create:
                raise Rejected(missing.reason) from None
            await self._logs.create(request.group, request.stream)
            try:
                answer = await self._logs.call("PutLogEvents", content)
            except Missing as still:
                raise Retry(still.reason) from None  # made, and not yet seen everywhere
        return answer.decode(Taken) or Taken()


def _left_out(info: RejectedInfo, count: int) -> Iterator[tuple[int, str]]:
    """Give the events that were not taken, by index, once each.

    The index of the first that is too new is inclusive; the ends are exclusive (API reference,
    RejectedLogEventsInfo).
    """
    old = info.too_old_log_event_end_index or 0
    expired = info.expired_log_event_end_index or 0
    new = (
        count if info.too_new_log_event_start_index is None else info.too_new_log_event_start_index
    )
    for at in range(count):
        if at < old:
            yield at, "CloudWatch takes no event that is older than 14 days"
        elif at < expired:
            yield at, "the event is older than the log group keeps events"
        elif at >= new:
            yield at, "CloudWatch takes no event that is more than 2 hours in the future"
