"""Headers that every answer carries."""

from typing import Final

SECURITY: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""An API's answers are neither rendered, framed, sniffed nor kept by whoever passes them on."""

STRICT_TRANSPORT: Final = {"Strict-Transport-Security": "max-age=31536000"}
"""Only where the client asks over HTTPS, of us or of a proxy that we trust (RFC 6797, 7.2)."""
