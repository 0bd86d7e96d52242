"""Hiding the secrets of a config in what others said: a server may repeat what it was sent."""

import base64
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

from hub.secret import Secret
from hub.telemetry import redact

_SHORTEST: Final = 4
"""Characters: to hide every place of what is shorter would show it rather than hide it."""


class Veil:
    """Puts a mask in the place of each of these secrets, in whatever form it is written.

    Args:
        secrets: in clear.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(
            (form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True
        )

    def __repr__(self) -> str:
        return f"Veil({len(self._forms)} forms)"

    def over(self, text: str) -> str:
        """Give the text without them, also where one is cut off at the end of it."""
        for form in self._forms:
            text = text.replace(form, Secret.MASK)
        for form in self._forms:
            text = _without_head(text, form)
        hidden: str = redact(text)
        return hidden


def _without_head(text: str, form: str) -> str:
    """Mask the longest beginning of a secret that the text ends with."""
    end = text[-_SHORTEST:]
    at = form.rfind(end) if len(end) == _SHORTEST else -1
    while at >= 0:
        if text.endswith(form[: at + _SHORTEST]):
            return text[: -(at + _SHORTEST)] + Secret.MASK
        at = form.rfind(end, 0, at + _SHORTEST - 1)
    return text


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield " ".join(secret.split())
    # Of keys in PEM each line is telling.
    yield from (line.strip() for line in secret.splitlines() if len(line.strip()) >= 16)
    yield msgspec.json.encode(secret).decode()[1:-1]
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield from _base64(secret.encode())


def _base64(secret: bytes) -> Iterator[str]:
    """Give what base64 makes of it wherever it stands, as behind the user in `Basic …`."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
        # Characters of six bits: those that the bytes before, and those after, have a part in.
        start, stop = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        yield whole[start:stop]
        yield whole[start:stop].replace("+", "-").replace("/", "_")


NOTHING_SECRET: Final = Veil(())
"""For what has no secrets."""
