"""Secrets at rest: sealed for one place, opened there alone, under keys that can be changed."""

import asyncio
import base64
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.database import Database, Query
from hub.errors import ConfigError
from hub.settings import VaultSettings
from hub.vault import SealBroken, Vault, generate_key_file

PLACE = {"account": "acc_1", "project": "prj_1", "name": "integration/int_1"}


@pytest.fixture
def database(core_database: Database) -> Database:
    return core_database


def key() -> bytes:
    return secrets.token_bytes(32)


async def seal(database: Database, vault: Vault, plaintext: bytes, **place: str) -> bytes:
    async with database.system() as tx:
        return await vault.seal(tx, plaintext, **{**PLACE, **place})


async def unseal(database: Database, vault: Vault, sealed: bytes, **place: str) -> bytes:
    async with database.system() as tx:
        return await vault.open(tx, sealed, **{**PLACE, **place})


@pytest.mark.parametrize("plaintext", [b"", b"hunter2", bytes(range(256)) * 1000])
async def test_what_was_sealed_opens(database: Database, plaintext: bytes) -> None:
    vault = Vault(key())
    sealed = await seal(database, vault, plaintext)
    assert await unseal(database, vault, sealed) == plaintext
    assert sealed[0] == 1
    assert not plaintext or plaintext not in sealed


async def test_each_seal_is_another(database: Database) -> None:
    vault = Vault(key())
    assert await seal(database, vault, b"same") != await seal(database, vault, b"same")


@pytest.mark.parametrize(
    "elsewhere", [{"account": "acc_2"}, {"project": "prj_2"}, {"name": "integration/int_2"}]
)
async def test_it_does_not_open_elsewhere(database: Database, elsewhere: dict[str, str]) -> None:
    vault = Vault(key())
    sealed = await seal(database, vault, b"hunter2")
    await seal(database, vault, b"", **elsewhere)  # that place has a data key, too
    with pytest.raises(SealBroken) as caught:
        await unseal(database, vault, sealed, **elsewhere)
    assert "hunter2" not in str(caught.value)


async def test_every_changed_byte_is_noticed(database: Database) -> None:
    vault = Vault(key())
    sealed = await seal(database, vault, b"hunter2")
    async with database.system() as tx:
        for index in range(len(sealed)):
            changed = bytearray(sealed)
            changed[index] ^= 1
            with pytest.raises(SealBroken):
                await vault.open(tx, bytes(changed), **PLACE)
        for length in range(len(sealed)):
            with pytest.raises(SealBroken):
                await vault.open(tx, sealed[:length], **PLACE)


async def test_keys_are_per_project_and_wrapped(database: Database) -> None:
    vault = Vault(key())
    for project in ("prj_1", "prj_2"):
        await seal(database, vault, b"x", project=project)
        await seal(database, vault, b"y", project=project)
    wrapped = Query.parse("q", "SELECT wrapped FROM vault_data_keys")
    async with database.system() as tx:
        rows = await tx.all(wrapped, bytes)
    assert len(set(rows)) == 2
    assert all(len(row) == 12 + 32 + 16 for row in rows)


async def test_the_first_use_by_many_at_once(database: Database) -> None:
    vault = Vault(key())
    sealed = await asyncio.gather(
        *(seal(database, vault, str(number).encode()) for number in range(8))
    )
    opened = [await unseal(database, vault, one) for one in sealed]
    assert opened == [str(number).encode() for number in range(8)]


async def test_a_change_of_keys(database: Database) -> None:
    old, new = key(), key()
    sealed = await seal(database, Vault(old), b"hunter2")
    both = Vault(new, (old,))
    assert await unseal(database, both, sealed) == b"hunter2"
    with pytest.raises(SealBroken, match=r"list its file in vault\.old_key_files"):
        await unseal(database, Vault(new), sealed)
    async with database.system() as tx:
        assert await both.rewrap(tx) == 1
    async with database.system() as tx:
        assert await both.rewrap(tx) == 0
    assert await unseal(database, Vault(new), sealed) == b"hunter2"


async def test_a_key_moved_to_another_project(database: Database) -> None:
    vault = Vault(key())
    sealed = await seal(database, vault, b"hunter2")
    steal = Query.parse("q", "UPDATE vault_data_keys SET project = 'prj_2'")
    async with database.system() as tx:
        await tx.run(steal)
    with pytest.raises(SealBroken, match="the data key of prj_2"):
        await unseal(database, vault, sealed, project="prj_2")
    with pytest.raises(SealBroken, match="no data key"):
        await unseal(database, vault, sealed)


def test_nothing_shows_a_key() -> None:
    secret = key()
    shown = repr(Vault(secret)) + repr(vars(Vault(secret)))
    assert secret.hex() not in shown
    assert repr(secret) not in shown
    assert base64.b64encode(secret).decode() not in shown


# ── key files ─────────────────────────────────────────────────────────────────────────────────


def test_a_generated_file(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    generate_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(path.read_bytes())) == 32
    old = tmp_path / "old.key"
    generate_key_file(old)
    vault = Vault.open_keys(VaultSettings(path, (old,)))
    assert repr(vault).endswith("keys=2)")
    with pytest.raises(ConfigError, match="it is not replaced"):
        generate_key_file(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "vault.key"
    generate_key_file(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        Vault.open_keys(VaultSettings(path))


@given(st.binary(max_size=80))
def test_a_file_that_is_no_key(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("vault") / "vault.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="32 bytes in base64"):
        Vault.open_keys(VaultSettings(path))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vault\.key: cannot read"):
        Vault.open_keys(VaultSettings(tmp_path / "vault.key"))
    with pytest.raises(ConfigError, match="cannot write"):
        generate_key_file(tmp_path / "nowhere" / "vault.key")
