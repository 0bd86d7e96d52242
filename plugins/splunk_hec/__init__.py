"""Splunk: lines to its HTTP Event Collector, acknowledged by the indexer where wanted."""

from hub import DestinationType, hookimpl
from plugins.splunk_hec.config import SplunkHecConfig
from plugins.splunk_hec.destination import SplunkHec


@hookimpl
def isaax_destinations() -> list[DestinationType[SplunkHecConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="splunk_hec",
            title="Splunk HEC",
            summary="Splunk's HTTP Event Collector, with indexer acknowledgement where wanted.",
            config=SplunkHecConfig,
            build=SplunkHec,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            timeout=120.0,
            examples=(
                {
                    "url": "https://splunk.example.com:8088",
                    "token": "00000000-0000-0000-0000-000000000000",
                    "index": "devices",
                    "acknowledge": True,
                },
            ),
        )
    ]
