"""A listener's certificate follows its files, and connections that are open stay."""

import asyncio
import ssl
from pathlib import Path

import pytest

from hub.certificate import ServerCertificate
from hub.errors import StartError
from tests.fixtures.certificates import Pair, TestAuthority


async def serial(port: int, trust: ssl.SSLContext) -> str:
    """Connect, and give the serial number of the certificate that is shown."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trust, server_hostname="localhost"
    )
    shown = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return str(shown)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line by itself."""
    try:
        while line := await reader.readline():
            writer.write(line)
    except OSError:
        pass
    finally:
        writer.close()


async def test_a_new_certificate_is_taken_up_without_losing_a_connection(
    tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """vector#22900; a pair that does not fit (yet) changes nothing."""
    trust = ssl.create_default_context(cadata=authority.pem)
    files = ServerCertificate(*local_certificate.write(tmp_path, "in"))
    async with (
        files.following(every=0.01) as tls,
        await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        first = await serial(port, trust)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname="localhost"
        )
        new = authority.issue("localhost")
        (tmp_path / "in.pem").write_text(new.certificate)
        await asyncio.sleep(0.05)
        assert await serial(port, trust) == first
        (tmp_path / "in.key").write_text(new.key)
        seen = {first}

        async def look() -> None:
            while seen == {first}:
                seen.add(await serial(port, trust))

        async with asyncio.timeout(10):
            await look()
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()


def test_what_cannot_be_used_leaves_the_old_one(tmp_path: Path, local_certificate: Pair) -> None:
    """Nothing, no PEM, a pair that does not fit."""
    certificate, key = local_certificate.write(tmp_path, "in")
    files = ServerCertificate(certificate, key)
    assert files.refresh() is False
    for text in ("", "no pem", TestAuthority().issue("localhost").certificate):
        certificate.write_text(text)
        assert files.refresh() is False
    certificate.unlink()
    assert files.refresh() is False
    certificate.write_text(local_certificate.certificate)
    assert files.refresh() is True


def test_the_start_needs_files_that_can_be_used(tmp_path: Path, local_certificate: Pair) -> None:
    """With their names in the words."""
    with pytest.raises(StartError, match=r"none\.pem"):
        ServerCertificate(tmp_path / "none.pem", tmp_path / "none.key")
    certificate, key = local_certificate.write(tmp_path, "in")
    key.write_text("no key")
    with pytest.raises(StartError, match=r"in\.key"):
        ServerCertificate(certificate, key)
