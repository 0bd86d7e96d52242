"""Secrets at rest: AES-256-GCM under a data key per project, wrapped by a key of the operator's.

The key-encryption key (KEK) lies in a file outside the database. Changing it re-wraps the data
keys and leaves the secrets as they are. What a secret was sealed for is authenticated with it, so
that a sealed value moved to another project or name does not open.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.database import Connection, Queries
from hub.errors import ConfigError, Conflict, IsaaxError
from hub.settings import VaultSettings

_SQL: Final = Queries.load("hub.sql", "vault.sql")

_KEY_BYTES: Final = 32
# NIST SP 800-38D, section 8.2.2: a random 96-bit nonce is safe for 2^32 uses of one key.
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
FORMAT: Final = 1
"""First byte of what `seal` gives: format | nonce | ciphertext and tag."""


class SealBroken(IsaaxError):  # noqa: N818 - reads as the outcome it names
    """A sealed value does not open: it was changed, or sealed for something else."""


class _DataKey(msgspec.Struct, frozen=True):
    account: str
    project: str
    kek: str
    wrapped: bytes


@dataclass(frozen=True, slots=True, repr=False)
class _Kek:
    """A key-encryption key; its id is a digest of it, so that it cannot be mixed up."""

    key: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(b"isaax-kek-id\0" + self.key).hexdigest()[:16]

    def wrap(self, data_key: bytes, account: str, project: str) -> bytes:
        return _encrypt(self.key, data_key, _context("data-key", account, project, self.id))

    def unwrap(self, wrapped: bytes, account: str, project: str) -> bytes:
        return _decrypt(self.key, wrapped, _context("data-key", account, project, self.id))


@dataclass(frozen=True, slots=True, repr=False)
class Opener:
    """Opens the secrets of one project, with a data key that was read once; for one transaction."""

    _key: bytes | None
    _account: str
    _project: str

    def open(self, sealed: bytes, *, name: str) -> bytes:
        """Decrypt what was sealed for exactly this account, project and name; as `Vault.open`.

        Raises:
            SealBroken: it was not, or it was changed since, or its key is gone.
        """
        if sealed[:1] != bytes((FORMAT,)):
            raise SealBroken(f"{name}: unknown format")
        if self._key is None:
            raise SealBroken(f"{name}: the project has no data key")
        context = _secret_context(self._account, self._project, name)
        try:
            return _decrypt(self._key, sealed[1:], context)
        except InvalidTag:
            raise SealBroken(name) from None


class Vault:
    """Seals and opens secrets. Data keys are read in the caller's transaction, never kept."""

    def __init__(self, current: bytes, old: tuple[bytes, ...] = ()) -> None:
        """Make a vault from keys of 32 bytes.

        Args:
            current: wraps new data keys.
            old: may still open what they wrapped.
        """
        self._current = _Kek(current)
        self._keks = {kek.id: kek for kek in map(_Kek, (*old, current))}

    @classmethod
    def open_keys(cls, settings: VaultSettings) -> "Vault":
        """Read the key files.

        Raises:
            ConfigError: one is missing, open to others, or no key.
        """
        old = tuple(_read_key(path) for path in settings.old_key_files)
        return cls(_read_key(settings.key_file), old)

    async def seal(
        self, tx: Connection, plaintext: bytes, *, account: str, project: str, name: str
    ) -> bytes:
        """Encrypt a secret for one place; the project's data key is made on first use.

        Args:
            name: what the secret is, such as `integration/<id>`; needed again to open it.
        """
        key = await self._data_key(tx, account, project)
        if key is None:
            await self._make_data_key(tx, account, project)
            key = await self._data_key(tx, account, project)
        if key is None:
            raise Conflict("the data key of the project vanished; try again")
        return bytes((FORMAT,)) + _encrypt(key, plaintext, _secret_context(account, project, name))

    async def open(
        self, tx: Connection, sealed: bytes, *, account: str, project: str, name: str
    ) -> bytes:
        """Decrypt what was sealed for exactly this account, project and name.

        Raises:
            SealBroken: it was not, or it was changed since, or its key is gone.
        """
        opener = await self.opener(tx, account=account, project=project)
        return opener.open(sealed, name=name)

    async def opener(self, tx: Connection, *, account: str, project: str) -> Opener:
        """Give what opens many secrets of a project; it is not to outlive the transaction."""
        return Opener(await self._data_key(tx, account, project), account, project)

    def keyed(self, purpose: str, text: str) -> bytes:
        """Give a digest of a text that only who has the key can make: 32 bytes, to find it by.

        It is another one once the current key is another one.

        Args:
            purpose: digests for different ones cannot be compared.
        """
        return hmac.digest(self._current.key, _context("keyed", purpose, text), hashlib.sha256)

    async def rewrap(self, tx: Connection) -> int:
        """Wrap every data key that an old key wraps with the current one.

        The transaction sees all accounts; the old key files may go once it is committed.

        Returns:
            How many were wrapped anew.

        Raises:
            SealBroken: a data key does not open; none is changed.
        """
        stale = await tx.all(_SQL["data_keys_of_other_keks"], _DataKey, kek=self._current.id)
        for row in stale:
            wrapped = self._current.wrap(self._unwrap(row), row.account, row.project)
            await tx.run(
                _SQL["replace_data_key"],
                account=row.account,
                project=row.project,
                kek=self._current.id,
                wrapped=wrapped,
            )
        return len(stale)

    async def _data_key(self, tx: Connection, account: str, project: str) -> bytes | None:
        row = await tx.maybe(_SQL["get_data_key"], _DataKey, account=account, project=project)
        return None if row is None else self._unwrap(row)

    async def _make_data_key(self, tx: Connection, account: str, project: str) -> None:
        """Store a new data key, unless another transaction was first: then that one counts."""
        wrapped = self._current.wrap(secrets.token_bytes(_KEY_BYTES), account, project)
        await tx.run(
            _SQL["add_data_key"],
            account=account,
            project=project,
            kek=self._current.id,
            wrapped=wrapped,
        )

    def _unwrap(self, row: _DataKey) -> bytes:
        kek = self._keks.get(row.kek)
        if kek is None:
            raise SealBroken(
                f"the data key of {row.project} needs the key with id {row.kek}; "
                "list its file in vault.old_key_files"
            )
        try:
            return kek.unwrap(row.wrapped, row.account, row.project)
        except InvalidTag:
            raise SealBroken(f"the data key of {row.project}") from None

    def __repr__(self) -> str:
        return f"Vault(current={self._current.id!r}, keys={len(self._keks)})"


def generate_key_file(path: Path) -> None:
    """Write a new random key with mode 0600, durably; an existing file is never replaced.

    Raises:
        ConfigError: it exists, or cannot be written.
    """
    text = base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except FileExistsError:
        raise ConfigError(f"{path}: there is a key already; it is not replaced") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot write the vault's key: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable: without its key, all that is sealed is lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(256)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the vault's key: {error.strerror}") from None
    if mode & 0o077:
        raise ConfigError(f"{path}: mode {mode:04o} lets others read the key; chmod 600 it")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigError(f"{path}: a vault key is {_KEY_BYTES} bytes in base64")
    return key


def _context(*parts: str) -> bytes:
    """Give additional authenticated data that no other parts can give (JSON is unambiguous)."""
    return msgspec.json.encode(parts)


def _secret_context(account: str, project: str, name: str) -> bytes:
    return _context("secret", account, project, name, str(FORMAT))


def _encrypt(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def _decrypt(key: bytes, sealed: bytes, context: bytes) -> bytes:
    if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
