"""Elasticsearch and OpenSearch: lines by their bulk API, each with its own id."""

from hub import DestinationType, hookimpl
from plugins.elasticsearch.config import ElasticsearchConfig
from plugins.elasticsearch.destination import Elasticsearch


@hookimpl
def isaax_destinations() -> list[DestinationType[ElasticsearchConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="elasticsearch",
            title="Elasticsearch",
            summary="Elasticsearch or OpenSearch: ECS documents that never arrive twice.",
            config=ElasticsearchConfig,
            build=Elasticsearch,
            max_lines=2_000,  # one event loop serves all: encoding more would hold up others
            max_bytes=2_000_000,
            timeout=60.0,
            examples=(
                {"url": "https://es.example.com:9200", "api_key": "aWQ6a2V5"},
                {
                    "url": "https://opensearch.example.com:9200",
                    "username": "isaax",
                    "password": "secret",
                    "index": "isaax-%Y.%m.%d",
                },
            ),
        )
    ]
