"""Webhook: signed HTTP requests by the Standard Webhooks specification."""

from hub import DestinationType, hookimpl
from plugins.webhook.config import WebhookConfig
from plugins.webhook.destination import Webhook


@hookimpl
def isaax_destinations() -> list[DestinationType[WebhookConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="webhook",
            title="Webhook",
            summary="Your own HTTP endpoint: JSON or NDJSON, signed (Standard Webhooks).",
            config=WebhookConfig,
            build=Webhook,
            max_lines=1_000,
            max_bytes=512 * 1024,
            examples=(
                {
                    "url": "https://example.com/logs",
                    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # of the specification
                },
                {"url": "https://example.com/logs", "format": "ndjson", "gzip": True},
            ),
        )
    ]
