"""Signed calls of CloudWatch Logs, and what its errors mean.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/CommonErrors.html
"""

from typing import Any, Final

import msgspec

from hub import SKEWED, THROTTLED, Answer, HttpTarget, Rejected, Retry, SigV4, Tools
from plugins.cloudwatch.config import CloudWatchConfig

_TARGET: Final = "Logs_20140328."
_LATER: Final = THROTTLED | {"OperationAbortedException", "ServiceUnavailableException"}


class RejectedInfo(msgspec.Struct, frozen=True, rename="camel"):
    """Which events of a request were not taken, by index."""

    too_new_log_event_start_index: int | None = None
    too_old_log_event_end_index: int | None = None
    expired_log_event_end_index: int | None = None


class Taken(msgspec.Struct, frozen=True, rename="camel"):
    """What PutLogEvents answers."""

    rejected_log_events_info: RejectedInfo | None = None


class _Failure(msgspec.Struct, frozen=True):
    type: str = msgspec.field(default="", name="__type")
    message: str = ""
    capital: str = msgspec.field(default="", name="Message")


class Missing(Exception):  # noqa: N818 - an answer, raised by name
    """There is no such group, or no such stream."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Logs:
    """CloudWatch Logs of one account and region."""

    def __init__(self, config: CloudWatchConfig, tools: Tools) -> None:
        self._url = config.url()
        self._target = HttpTarget(tools, self._url, headers={}, ca=config.ca)
        self._signer = SigV4(
            "logs",
            config.region,
            key_id=config.access_key_id,
            secret=config.secret_access_key,
            token=config.session_token,
        )

    async def call(self, action: str, content: dict[str, Any]) -> Answer:
        """Make one call; give a successful answer.

        Raises:
            Missing: the group or the stream.
            Retry, Rejected: what else went wrong.
        """
        body = msgspec.json.encode(content)
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": _TARGET + action,
        }
        answer = await self._target.push(
            body, headers=self._signer.sign("POST", self._url, body, headers)
        )
        if not answer.ok:
            _fail(answer)
        return answer

    async def create(self, group: str, stream: str) -> None:
        """Make a stream, and its group where that is missing too.

        Raises:
            Retry, Rejected: it cannot be made.
        """
        names = {"logGroupName": group, "logStreamName": stream}
        try:
            await self._make("CreateLogStream", names)
        except Missing:
            await self._make("CreateLogGroup", {"logGroupName": group})
            try:
                await self._make("CreateLogStream", names)
            except Missing as missing:
                raise Retry(missing.reason) from None  # made, and not yet seen everywhere

    async def _make(self, action: str, names: dict[str, Any]) -> None:
        try:
            await self.call(action, names)
        except _ExistsError:
            return


class _ExistsError(Exception):
    """What was to be made is there already."""


def _fail(answer: Answer) -> None:
    """Raise what a failure means."""
    failure = answer.decode(_Failure) or _Failure()
    # The service writes `SomeException` or `com.amazonaws.logs#SomeException`.
    code = failure.type.rpartition("#")[2]
    words = f"{code}: {failure.message or failure.capital}"[:300] if code else answer.words
    if code == "ResourceNotFoundException":
        raise Missing(words)
    if code == "ResourceAlreadyExistsException":
        raise _ExistsError
    if code in SKEWED or "Signature expired" in words or "Signature not yet current" in words:
        raise Retry(f"the hub's clock differs from Amazon's: {words}")
    if code in _LATER:
        raise Retry(words, after=answer.retry_after)
    if code and answer.status < 500:
        raise Rejected(words)
    answer.check()
