"""A TLS syslog receiver to be killed: `python -m tests.programs.syslog_sink PORT CERT KEY FILE`.

Appends each whole line that it has read to FILE, one write a read, and nothing else: what it had
read and not yet written when it is killed is gone, as in any real receiver.
"""

import asyncio
import os
import ssl
import sys


async def main(port: int, certificate: str, key: str, file: str) -> None:
    """Serve until killed."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    output = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        try:
            while data := await reader.read(256 * 1024):
                whole, newline, rest = (rest + data).rpartition(b"\n")
                os.write(output, whole + newline)
        except (ConnectionError, ssl.SSLError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", port, ssl=tls)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:5]))
