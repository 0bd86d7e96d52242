"""Secrets at rest: sealed for one place, opened there alone, under keys that can be changed."""

import asyncio
import base64
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hub.database import Database, Query
from hub.errors import ConfigError
from hub.migrations import migrate
from hub.settings import PostgresSettings, VaultSettings
from hub.vault import SealBroken, Vault, generate_key_file
from hub.vault_commands import app
from tests.fixtures.parts import run_now

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


async def test_many_are_opened_with_one_look_at_the_key(database: Database) -> None:
    """In one transaction, and for the project that it was asked for alone."""
    vault = Vault(key())
    sealed = [await seal(database, vault, b"%d" % n, name=f"n/{n}") for n in range(3)]
    async with database.system() as tx:
        opener = await vault.opener(tx, account="acc_1", project="prj_1")
        other = await vault.opener(tx, account="acc_1", project="prj_2")
    assert [opener.open(one, name=f"n/{n}") for n, one in enumerate(sealed)] == [b"0", b"1", b"2"]
    for wrong, name, of in ((opener, "n/1", 0), (other, "n/0", 0)):
        with pytest.raises(SealBroken):
            wrong.open(sealed[of], name=name)
    with pytest.raises(SealBroken, match="unknown format"):
        opener.open(b"\x07" + sealed[0][1:], name="n/0")
    assert "Opener" in repr(opener)
    assert vault._current.key.hex() not in repr(opener)


def test_the_operator_replaces_the_key_at_the_terminal(
    database_settings: PostgresSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/envars.md says, while another process still has both."""
    sealed: list[bytes] = []
    files = tmp_path / "old.key", tmp_path / "new.key"
    for path in files:
        made = CliRunner().invoke(app, ["new-key", str(path)])
        assert made.exit_code == 0, made.output
        assert path.stat().st_mode & 0o777 == 0o600
    old, new = (Vault.open_keys(VaultSettings(path)) for path in files)
    both = Vault.open_keys(VaultSettings(files[0], (files[1],)))

    async def with_database(vault: Vault, plaintext: bytes = b"") -> bytes:
        async with Database.open(database_settings) as database:
            if plaintext:
                sealed.append(await seal(database, vault, plaintext))
            return await unseal(database, vault, sealed[0])

    async def begin() -> None:
        await migrate(database_settings, [])
        await with_database(old, b"hunter2")

    run_now(begin())
    for name in ("host", "port", "database", "user"):
        monkeypatch.setenv(f"ISAAX_POSTGRES_{name.upper()}", str(getattr(database_settings, name)))
    monkeypatch.setenv("ISAAX_POSTGRES_PASSWORD", database_settings.password.reveal())
    monkeypatch.setenv("ISAAX_VAULT_KEY_FILE", str(files[1]))
    without = CliRunner().invoke(app, ["rewrap"])
    assert isinstance(without.exception, SealBroken)
    monkeypatch.setenv("ISAAX_VAULT_OLD_KEY_FILES", str(files[0]))
    for count in (1, 0):
        done = CliRunner().invoke(app, ["rewrap"])
        assert (done.exit_code, done.output) == (0, f"{count} keys were wrapped anew\n")

    async def opens(vault: Vault) -> None:
        assert await with_database(vault) == b"hunter2"

    run_now(opens(new))
    run_now(opens(both))
    again = CliRunner().invoke(app, ["new-key", str(files[0])])
    assert isinstance(again.exception, ConfigError), "none is ever replaced"


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
