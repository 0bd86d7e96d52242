"""AWS Signature Version 4 on requests that go through the hub's own, guarded HTTP session.

botocore does the signing (its canonical forms are the reference), through its public steps one by
one: `add_auth`, which does them all, writes the request with its session token into the debug log.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from hub.secret import Secret

THROTTLED: Final = frozenset({
    "BandwidthLimitExceeded", "EC2ThrottledException", "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled",
    "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling",
    "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException",
})  # fmt: skip
"""Error codes that mean "later" whatever the status (botocore/retries/standard.py)."""

SKEWED: Final = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
"""Error codes that say that the clocks differ (smithy's list of clock skew errors)."""


_PRINTABLE: Final = re.compile(r"[!-~]*")


def check_keys(secret: Secret, token: Secret) -> None:
    """Check the secrets of a config; for its `__post_init__`.

    Raises:
        ValueError: a header cannot hold them, or there is no key; neither is repeated.
    """
    if not secret:
        raise ValueError("secret_access_key is empty")
    for name, value in (("secret_access_key", secret), ("session_token", token)):
        if not _PRINTABLE.fullmatch(value.reveal()):
            raise ValueError(f"{name} is of printable characters without spaces")


def _now() -> datetime:
    return datetime.now(UTC)


class SigV4:
    """Signs requests to one service in one region.

    Args:
        service: its signing name: `s3`, `logs`, ….
        key_id: of the access key; `secret` is the key itself.
        token: of temporary credentials; empty for a long-lived key.
        clock: gives the time, which the service compares with its own.
    """

    def __init__(
        self,
        service: str,
        region: str,
        *,
        key_id: str,
        secret: Secret,
        token: Secret = Secret(""),  # noqa: B008 - it is immutable
        clock: Callable[[], datetime] = _now,
    ) -> None:
        credentials = Credentials(key_id, secret.reveal(), token.reveal() or None)
        # S3 alone signs the path as it is sent (S3 API Reference, "Create a canonical request").
        self._signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(credentials, service, region)
        self._token = token
        self._clock = clock

    def sign(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """Give the headers of a request, with its signature among them.

        Args:
            url: as it is sent, percent-encoded.
            headers: all are signed.
        """
        signer = self._signer
        moment = self._clock().strftime("%Y%m%dT%H%M%SZ")
        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        request.context["timestamp"] = moment
        request.headers["X-Amz-Date"] = moment
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
        if self._token:
            request.headers["X-Amz-Security-Token"] = self._token.reveal()
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        names = signer.signed_headers(signer.headers_to_sign(request))
        return {
            **dict(request.headers.items()),
            "Authorization": f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
            f"SignedHeaders={names}, Signature={signer.signature(to_sign, request)}",
        }
