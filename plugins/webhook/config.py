"""What a user configures for a webhook."""

import base64
import binascii
from typing import Final, Literal

import msgspec

from hub import HttpUrl, Secret, check_headers, client_tls

_OURS: Final = ("webhook-id", "webhook-signature", "webhook-timestamp")


class WebhookConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An HTTP endpoint.

    Args:
        url: where each batch is posted; https in production. Put no password into it: it is shown.
        secret: `whsec_` and 24 to 64 bytes in base64; with it, each request is signed.
        format: one JSON array, or a JSON object a line (NDJSON).
        gzip: compress the body; the signature is over the compressed one.
        headers: more headers, such as Authorization; their values are kept secret.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: HttpUrl
    secret: Secret = Secret("")
    format: Literal["json", "ndjson"] = "json"
    gzip: bool = False
    headers: dict[str, Secret] = {}
    ca: str = ""

    def __post_init__(self) -> None:
        if self.secret:
            self.signing_key()
        check_headers(self.headers, ours=_OURS)
        if self.ca:
            client_tls(ca=self.ca)

    def signing_key(self) -> bytes:
        """Give the bytes to sign with.

        Raises:
            ValueError: the secret is not of the form `whsec_<base64 of 24 to 64 bytes>`.
        """
        text = self.secret.reveal()
        try:
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not (text.startswith("whsec_") and 24 <= len(key) <= 64):
            raise ValueError("secret is whsec_ and 24 to 64 random bytes in base64")
        return key
