"""What a user configures for CloudWatch Logs."""

import re
from typing import Annotated, Final, Literal

import msgspec

from hub import Chunk, HttpUrl, Secret, check_keys, client_tls

Region = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}(-[a-z]+){1,3}-\d{1,2}$(?!\n)")]
KeyId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{16,128}$(?!\n)")]

LONGEST_NAME: Final = 512
_PLACES: Final = re.compile(r"\{(project|device|host|stream)\}")
# API reference, CreateLogGroup: letters, digits and these. A stream's name may hold all but `:`
# and `*`; the same set is enough, and safe.
_GROUP: Final = re.compile(r"[A-Za-z0-9_./#-]{1,512}")
_BAD: Final = re.compile(r"[^A-Za-z0-9_./#-]")


class CloudWatchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in CloudWatch Logs.

    Args:
        region: such as `eu-central-1`.
        access_key_id: of a user or role that may call logs:PutLogEvents, and logs:CreateLogStream
            and logs:CreateLogGroup unless `create` is off.
        secret_access_key: the key itself.
        session_token: of temporary credentials.
        group: name of the log group, with `{project}`, `{device}`, `{host}` and `{stream}`.
        stream: name of the log stream, with the same.
        create: make the group and the stream where they are missing.
        format: `json` keeps all that is known of a line, with its id; `text` is the message alone.
        endpoint: instead of AWS's own, for a VPC endpoint or a test.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    region: Region
    access_key_id: KeyId
    secret_access_key: Secret
    session_token: Secret = Secret("")
    group: str = "isaax/{project}"
    stream: str = "{device}/{stream}"
    create: bool = True
    format: Literal["json", "text"] = "json"
    endpoint: HttpUrl | None = None
    ca: str = ""

    def __post_init__(self) -> None:
        check_keys(self.secret_access_key, self.session_token)
        for field, name in (("group", self.group), ("stream", self.stream)):
            if not _GROUP.fullmatch(_PLACES.sub("x", name)):
                raise ValueError(
                    f"{field} holds letters, digits and _ - / . # besides {{project}}, {{device}}, "
                    f"{{host}} and {{stream}}; at most {LONGEST_NAME} of them"
                )
        if self.group.startswith("aws/"):
            raise ValueError("group cannot start with aws/")
        if self.ca:
            client_tls(ca=self.ca)

    def url(self) -> str:
        """Give the endpoint's address."""
        if self.endpoint is not None:
            return self.endpoint.rstrip("/") + "/"
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return f"https://logs.{self.region}.{domain}/"

    def place(self, chunk: Chunk) -> tuple[str, str]:
        """Give the names of the group and the stream that a chunk goes to."""
        values = {
            "project": chunk.project,
            "device": chunk.device,
            "host": chunk.host,
            "stream": chunk.stream,
        }
        return _fill(self.group, values), _fill(self.stream, values)


def _fill(name: str, values: dict[str, str]) -> str:
    """Put values into a name; what it may not hold becomes `_`."""

    def value(match: re.Match[str]) -> str:
        return _BAD.sub("_", values[match[1]]) or "_"

    return _PLACES.sub(value, name)[:LONGEST_NAME]
