"""A small certificate authority of our own, for the listener that devices connect to."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.embedded.account import Account, make_folder, write_private

CA_LIFE: Final = dt.timedelta(days=3650)
SERVER_LIFE: Final = dt.timedelta(days=397)
RENEW: Final = dt.timedelta(days=30)
SKEW: Final = dt.timedelta(days=1)  # a device's clock may be behind


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """PEM files of a server: what it shows, its key, and the authority that clients trust."""

    certificate: Path
    key: Path
    ca: Path


class Authority:
    """A certificate authority in a folder, made when there is none yet.

    Args:
        folder: of `ca.pem` (for everyone) and `ca.key` (for us alone).
    """

    def __init__(self, folder: Path, *, name: str = "Isaax hub CA") -> None:
        self._folder = make_folder(folder, None)
        self.certificate_file: Final = folder / "ca.pem"
        self._key_file = folder / "ca.key"
        if not self.certificate_file.exists():
            self._make(name)
        self._key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self.certificate_file.read_text()

    def _make(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key.public_key(), CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_private(self._key_file, _pem(key))
        write_private(self.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, folder: Path, names: list[str], account: Account | None) -> ServerFiles:
        """Give a server certificate for these names; a valid one that is there is kept.

        Args:
            folder: gets `server.pem`, `server.key` and `ca.pem`, readable by `account` alone.
            names: host names and IP addresses that clients connect to.
        """
        files = ServerFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
        if not self._still_good(files.certificate, names):
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(files.key, _pem(key), account)
            write_private(files.certificate, self._issue(key.public_key(), names), account)
        write_private(files.ca, self.certificate_file.read_bytes(), account)
        return files

    def _issue(self, key: ec.EllipticCurvePublicKey, names: list[str]) -> bytes:
        if not isinstance(self._key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_file} is not an elliptic curve key")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        certificate = (
            _builder(subject, self._certificate.subject, key, SERVER_LIFE)
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _still_good(self, path: Path, names: list[str]) -> bool:
        if not path.exists():
            return False
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return (
            certificate.issuer == self._certificate.subject
            and list(present.value) == _alternatives(names)
            and certificate.not_valid_after_utc - _now() > RENEW
        )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - SKEW)
        .not_valid_after(_now() + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    alternatives: list[x509.GeneralName] = []
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    return alternatives


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
