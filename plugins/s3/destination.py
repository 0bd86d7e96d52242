"""One signed PUT a batch, and what the answers mean.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and API/ErrorResponses.html
"""

import asyncio
import base64
import hashlib
import re
from typing import Final

from hub import SKEWED, THROTTLED, Answer, Batch, HttpTarget, Rejected, Retry, SigV4, Tools
from plugins.s3.config import S3Config
from plugins.s3.objects import Stored, stored

_LATER: Final = THROTTLED | {
    "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout",
    "ServiceUnavailable",
}  # fmt: skip
_CODE: Final = re.compile(rb"<Code>(\w{1,100})</Code>")
_MESSAGE: Final = re.compile(rb"<Message>([^<]{1,300})")


class S3:
    """Stores batches as objects."""

    def __init__(self, config: S3Config, tools: Tools) -> None:
        self._config = config
        self._root = config.root()
        self._target = HttpTarget(tools, self._root, headers={}, ca=config.ca)
        self._signer = SigV4(
            "s3",
            config.region,
            key_id=config.access_key_id,
            secret=config.secret_access_key,
            token=config.session_token,
        )

    async def send(self, batch: Batch) -> None:
        """Store one batch; it is in the bucket when this returns."""
        # Some megabytes are compressed beside the event loop.
        made = await asyncio.to_thread(stored, batch, self._config)
        url = f"{self._root}/{made.path}"
        headers = self._signer.sign("PUT", url, made.body, self._headers(made))
        answer = await self._target.push(made.body, url=url, headers=headers, method="PUT")
        # The key names the lines: what is there already is this very batch.
        if answer.status == 412 and self._config.conditional:
            return
        if not answer.ok:
            _fail(answer)

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    def _headers(self, made: Stored) -> dict[str, str]:
        config = self._config
        digest = base64.b64encode(hashlib.sha256(made.body).digest()).decode()
        headers = {"Content-Type": made.content_type, "x-amz-checksum-sha256": digest}
        if config.conditional:
            headers["If-None-Match"] = "*"
        if config.storage_class != "STANDARD":
            headers["x-amz-storage-class"] = config.storage_class
        if config.encryption:
            headers["x-amz-server-side-encryption"] = config.encryption
        if config.kms_key_id:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = config.kms_key_id
        return headers


def _fail(answer: Answer) -> None:
    """Raise what a failure means."""
    code, message = _CODE.search(answer.body), _MESSAGE.search(answer.body)
    name = code[1].decode() if code else ""
    words = answer.words
    if code:
        said = message[1].decode("utf-8", "replace") if message else ""
        words = f"answered {answer.status} {name}: {said}"
    if name in SKEWED:
        raise Retry(f"the hub's clock differs from the server's: {words}")
    if name in _LATER:
        raise Retry(words, after=answer.retry_after)
    if answer.status == 501:
        raise Rejected(f"{words}; does the server know conditional writes? See `conditional`")
    if answer.status < 500 and code:
        raise Rejected(words)
    answer.check()
