"""Amazon CloudWatch Logs, by PutLogEvents."""

from hub import DestinationType, hookimpl
from plugins.cloudwatch.config import CloudWatchConfig
from plugins.cloudwatch.destination import CloudWatch


@hookimpl
def isaax_destinations() -> list[DestinationType[CloudWatchConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="cloudwatch",
            title="Amazon CloudWatch Logs",
            summary="Log groups and streams in an AWS account, made where they are missing.",
            config=CloudWatchConfig,
            build=CloudWatch,
            max_lines=10_000,
            max_bytes=768 * 1024,
            timeout=120.0,
            examples=(
                {
                    "region": "eu-central-1",
                    "access_key_id": "AKIAIOSFODNN7EXAMPLE",  # of AWS's documentation
                    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                    "group": "isaax/{project}",
                    "stream": "{host}/{stream}",
                },
            ),
        )
    ]
