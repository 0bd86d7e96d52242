"""TLS contexts of clients, made of PEM text."""

import contextlib
import os
import ssl
from collections.abc import Iterator

from hub.secret import Secret


def client_tls(*, ca: str = "", certificate: str = "", key: Secret | None = None) -> ssl.SSLContext:
    """Make a TLS client's context: TLS 1.2 or newer, certificate and host name are verified.

    It reads the system's authorities when `ca` is empty, which takes some 20 ms.

    Args:
        ca: PEM text of the authorities to trust instead of the system's.
        certificate: PEM text of a client certificate, with its chain if it has one.
        key: PEM text of its key, not encrypted.

    Raises:
        ValueError: one of them cannot be used, in words a user understands.
    """
    try:
        context = ssl.create_default_context(cadata=ca or None)
    except ssl.SSLError as error:
        raise ValueError("ca is not a PEM certificate") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate or key:
        _load_client_certificate(context, certificate, key or Secret(""))
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: Secret) -> None:
    if not (certificate and key):
        raise ValueError("client_certificate and client_key go together")

    def no_password() -> str:
        raise ValueError("client_key is encrypted; give it without a password")

    with _in_memory(certificate) as chain, _in_memory(key.reveal()) as private:
        try:
            context.load_cert_chain(chain, private, password=no_password)
        except ssl.SSLError as error:
            if "MISMATCH" in (error.reason or ""):
                raise ValueError("client_key is not the key of client_certificate") from None
            raise ValueError("client_certificate and client_key must be PEM text") from None


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Give a path to the text that is on no disk: OpenSSL takes keys from a file alone."""
    handle = os.memfd_create("pem")
    try:
        os.write(handle, text.encode())
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
