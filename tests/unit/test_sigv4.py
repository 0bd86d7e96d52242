"""AWS Signature Version 4: the examples of AWS's own documentation."""

import logging
from datetime import UTC, datetime

import pytest

from hub import Secret, SigV4

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def signer(service: str = "s3", token: str = "") -> SigV4:
    """Sign as the examples do: on 24 May 2013."""
    return SigV4(
        service, "us-east-1", key_id=KEY_ID, secret=SECRET, token=Secret(token),
        clock=lambda: datetime(2013, 5, 24, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "signature"),
    [
        (
            "GET", "test.txt", b"", {"Range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT", "test%24file.text", b"Welcome to Amazon S3.",
            {
                "Date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET", "?lifecycle", b"", {},
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
    ],
)  # fmt: skip
def test_the_examples_of_the_s3_reference(
    method: str, path: str, body: bytes, headers: dict[str, str], signature: str
) -> None:
    """S3 API Reference, "Examples: Signature Calculations in AWS Signature Version 4"."""
    url = f"https://examplebucket.s3.amazonaws.com/{path}"
    signed = signer().sign(method, url, body, headers)
    assert signed["Authorization"].endswith(f"Signature={signature}")
    assert signed["X-Amz-Date"] == "20130524T000000Z"


def test_a_session_token_is_signed_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even when everything is logged."""
    with caplog.at_level(logging.DEBUG):
        signed = signer("logs", "t0ken").sign("POST", "https://logs.example.com/", b"{}", {})
    assert signed["X-Amz-Security-Token"] == "t0ken"
    assert "x-amz-security-token" in signed["Authorization"]
    assert "t0ken" not in caplog.text
