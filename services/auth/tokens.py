"""The live project tokens, by their digests: a mirror of what `projects` keeps."""

from collections.abc import Iterator

from services.auth.peers import TokenChanged, TokenDigest


class TokenTable:
    """Digests by project; filled from a snapshot, kept fresh by events."""

    def __init__(self) -> None:
        self._accounts: dict[str, str] = {}
        self._digests: dict[str, set[bytes]] = {}

    def replace(self, tokens: list[TokenDigest]) -> None:
        """Take a whole snapshot."""
        self._accounts = {token.project: token.account for token in tokens}
        self._digests = {}
        for token in tokens:
            self._digests.setdefault(token.project, set()).add(bytes.fromhex(token.digest))

    def apply(self, event: TokenChanged) -> bytes:
        """Take one change and give its digest."""
        digest = bytes.fromhex(event.digest)
        digests = self._digests.setdefault(event.project, set())
        if event.live:
            digests.add(digest)
            self._accounts[event.project] = event.account
        else:
            digests.discard(digest)
        return digest

    def drop(self, project: str) -> set[bytes]:
        """Forget a project and give the digests that it had."""
        self._accounts.pop(project, None)
        return self._digests.pop(project, set())

    def digests(self, project: str) -> set[bytes]:
        """Give the live digests of a project (none when there is no such project)."""
        return self._digests.get(project, set())

    def account(self, project: str) -> str:
        """Give the account of a project that has, or had, a token."""
        return self._accounts[project]

    def account_of(self, project: str) -> str:
        """Give the account of a project; "" when it has no token that is known here."""
        return self._accounts.get(project, "")

    def pairs(self) -> Iterator[tuple[str, bytes]]:
        """Give (project, digest) of every live token."""
        for project, digests in self._digests.items():
            for digest in digests:
                yield project, digest
