"""TLS as far as a listener needs it: it deciphers no more than can be stored, and loses nothing.

The event loops' own reads up to half a megabyte ahead, and forgets what is left of that when the
peer ends the connection, or breaks it off; and it does not end writing alone.
"""

import ssl

from plugins.syslog_listener.inlet import BUFFER, PlainInlet


class TlsInlet:
    """Over TLS, as its server.

    Args:
        ciphered: what it is on top of.
    """

    def __init__(self, ciphered: PlainInlet, context: ssl.SSLContext) -> None:
        self._ciphered = ciphered
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._plain = b""
        self._ended = False

    async def shake_hands(self) -> None:
        """Begin.

        Raises:
            OSError: the peer does not want to, or cannot.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._write()
                if not await self._ciphered.wait():
                    raise ConnectionResetError("the peer ended the handshake") from None
                self._feed()
            except ssl.SSLError:
                self._write()  # why
                raise
            else:
                self._write()
                return

    @property
    def filled(self) -> int:
        """Bytes that have come."""
        self._decipher()
        return len(self._plain)

    async def wait(self) -> bool:
        """Wait until something has come; False when it is over and nothing is left."""
        while not self.filled and not self._ended:
            self._ended = not await self._ciphered.wait()
        return bool(self._plain)

    def peek(self) -> bytes:
        """Give what has come, and keep it."""
        self._decipher()
        return self._plain

    def drop(self, size: int) -> None:
        """Let go of the first bytes of what has come, and read on."""
        self._plain = self._plain[size:]

    def say_end(self) -> None:
        """Tell the peer that this is the end; what it sends until it knows can still be read.

        Without TLS's own word for it: rsyslog looks for the end of the stream alone, and to it that
        word were something that came, and nothing ended.
        """
        self._ciphered.say_end()

    def cut_off(self) -> None:
        """Break the connection off; what has come is kept."""
        self._ciphered.cut_off()

    def _decipher(self) -> None:
        """Decipher what has come, when nothing is left of what came before."""
        if self._plain or self._ended:
            return
        self._feed()
        if not self._incoming.pending:
            return
        found = []
        try:
            while piece := self._tls.read(BUFFER):
                found.append(piece)
            self._ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # an alert, by which a peer breaks off, or what is no TLS
            self._ended = True
        self._plain = b"".join(found)
        self._write()

    def _feed(self) -> None:
        data = self._ciphered.peek()
        self._incoming.write(data)
        self._ciphered.drop(len(data))

    def _write(self) -> None:
        self._ciphered.write(self._outgoing.read())
