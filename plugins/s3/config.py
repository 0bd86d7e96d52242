"""What a user configures for a bucket."""

from typing import Annotated, Literal

import msgspec

from hub import HttpUrl, Limits, Secret, check_keys, client_tls

# "General purpose bucket naming rules" and "Safe characters" of object keys (S3 User Guide).
Bucket = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$(?!\n)")]
Prefix = Annotated[str, msgspec.Meta(max_length=512, pattern=r"^[A-Za-z0-9!_.*'()=/-]*$(?!\n)")]
Region = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}$(?!\n)")]
KeyId = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{3,128}$(?!\n)")]


class S3Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a bucket.

    Args:
        bucket: it has to exist.
        region: of the bucket; `us-east-1` for most that are not Amazon's.
        access_key_id: of a user or role that may call s3:PutObject there.
        secret_access_key: the key itself.
        session_token: of temporary credentials.
        endpoint: of what is not Amazon's, such as `https://minio.example.com:9000`; the bucket is
            then the first part of the path.
        prefix: what the keys start with; the date follows.
        compression: of the objects.
        linger: seconds that lines wait for an object to fill; on the hub's disk, not in memory.
        max_bytes: of the texts of the lines in an object, before compression.
        storage_class: of the objects.
        encryption: at rest, where it is not the bucket's own; `aws:kms` may name a `kms_key_id`.
        kms_key_id: of the key.
        conditional: write only what is not there yet; off for a server that does not know how. A
            batch that comes again has the same key and content, so nothing is lost by that.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    bucket: Bucket
    region: Region
    access_key_id: KeyId
    secret_access_key: Secret
    session_token: Secret = Secret("")
    endpoint: HttpUrl | None = None
    prefix: Prefix = ""
    compression: Literal["gzip", "zstd"] = "gzip"
    linger: Annotated[float, msgspec.Meta(ge=0, le=900)] = 60.0
    max_bytes: Annotated[int, msgspec.Meta(ge=64 * 1024, le=64 * 1024 * 1024)] = 8 * 1024 * 1024
    storage_class: Literal[
        "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
        "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE",
    ] = "STANDARD"  # fmt: skip
    encryption: Literal["", "AES256", "aws:kms", "aws:kms:dsse"] = ""
    kms_key_id: Annotated[str, msgspec.Meta(max_length=2048, pattern=r"^[!-~]*$(?!\n)")] = ""
    conditional: bool = True
    ca: str = ""

    def __post_init__(self) -> None:
        check_keys(self.secret_access_key, self.session_token)
        if ".." in self.bucket:
            raise ValueError("bucket cannot hold two dots in a row")
        parts = self.prefix.strip("/").split("/")
        if parts != [""] and not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError("prefix has an empty part, or one of dots alone")
        if self.kms_key_id and not self.encryption.startswith("aws:kms"):
            raise ValueError("kms_key_id needs the encryption aws:kms or aws:kms:dsse")
        if self.ca:
            client_tls(ca=self.ca)

    def limits(self) -> Limits:
        """Give what one object may hold, and how long it is waited for."""
        return Limits(max_lines=100_000, max_bytes=self.max_bytes, linger=self.linger)

    def root(self) -> str:
        """Give the address of the bucket, without a slash at the end."""
        if self.endpoint is not None:
            return f"{self.endpoint.rstrip('/')}/{self.bucket}"
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        host = f"s3.{self.region}.{domain}"
        # Amazon's certificate covers one label before its own name.
        if "." in self.bucket:
            return f"https://{host}/{self.bucket}"
        return f"https://{self.bucket}.{host}"
