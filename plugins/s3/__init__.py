"""Amazon S3, and what speaks like it: compressed objects of lines."""

from hub import DestinationType, hookimpl
from plugins.s3.config import S3Config
from plugins.s3.destination import S3


@hookimpl
def isaax_destinations() -> list[DestinationType[S3Config]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="s3",
            title="Amazon S3",
            summary="Compressed NDJSON objects in a bucket of S3, MinIO or another like it.",
            config=S3Config,
            build=S3,
            limits=S3Config.limits,
            timeout=120.0,
            examples=(
                {
                    "bucket": "acme-logs",
                    "region": "eu-central-1",
                    "access_key_id": "AKIAIOSFODNN7EXAMPLE",  # of AWS's documentation
                    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                    "prefix": "isaax",
                },
                {
                    "bucket": "logs",
                    "region": "us-east-1",
                    "endpoint": "https://minio.example.com:9000",
                    "access_key_id": "minio-access-key",
                    "secret_access_key": "minio-secret-key",
                    "compression": "zstd",
                },
            ),
        )
    ]
