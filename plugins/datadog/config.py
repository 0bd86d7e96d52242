"""What a user configures for Datadog."""

import re
from typing import Annotated, Final, Literal

import msgspec

from hub import HttpUrl, Secret, client_tls

_KEY: Final = re.compile(r"[!-~]{1,256}")

Site = Literal[
    "datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu",
    "ap1.datadoghq.com", "ap2.datadoghq.com", "uk1.datadoghq.com",
    "ddog-gov.com", "us2.ddog-gov.com",
]  # fmt: skip
"""Those of https://docs.datadoghq.com/api/latest/logs/send-logs/."""

TagName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9_./-]{0,99}$(?!\n)")]
TagText = Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^,]*$(?!\n)")]


class DatadogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Datadog organisation.

    Args:
        api_key: API key (not an application key).
        site: where the organisation lives.
        url: instead of the site's address, such as a proxy's; with its path.
        source: `ddsource`, by which Datadog chooses a pipeline.
        service: for all lines; by default each line's program.
        tags: more tags, besides project, device, stream and the labels of the shape.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    api_key: Secret
    site: Site = "datadoghq.com"
    url: HttpUrl | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "isaax"
    service: Annotated[str, msgspec.Meta(max_length=100)] = ""
    tags: Annotated[dict[TagName, TagText], msgspec.Meta(max_length=50)] = {}
    ca: str = ""

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.api_key.reveal()):
            raise ValueError("api_key is of printable characters without spaces")
        if self.ca:
            client_tls(ca=self.ca)

    @property
    def endpoint(self) -> str:
        """Address that lines are posted to."""
        return self.url or f"https://http-intake.logs.{self.site}/api/v2/logs"
