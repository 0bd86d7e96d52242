"""The live project tokens, by their digests: a mirror of what `projects` keeps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.auth.peers import Enrolment, TokenChanged, TokenDigest


@dataclass(frozen=True, slots=True)
class ProjectToken:
    """A token, and what registering with it means."""

    id: str
    enrolment: Enrolment


class TokenTable:
    """Tokens by project and digest; filled from a snapshot, kept fresh by events."""

    def __init__(self) -> None:
        self._accounts: dict[str, str] = {}
        self._tokens: dict[str, dict[bytes, ProjectToken]] = {}

    def replace(self, tokens: list[TokenDigest]) -> None:
        """Take a whole snapshot."""
        self._accounts = {token.project: token.account for token in tokens}
        self._tokens = {}
        for token in tokens:
            enrolment = Enrolment(token.expires_at, token.max_devices, token.group, token.approval)
            of_project = self._tokens.setdefault(token.project, {})
            of_project[bytes.fromhex(token.digest)] = ProjectToken(token.id, enrolment)

    def apply(self, event: TokenChanged) -> bytes:
        """Take one change and give its digest."""
        digest = bytes.fromhex(event.digest)
        of_project = self._tokens.setdefault(event.project, {})
        if event.live:
            of_project[digest] = ProjectToken(event.id, event.enrolment)
            self._accounts[event.project] = event.account
        else:
            of_project.pop(digest, None)
        return digest

    def drop(self, project: str) -> set[bytes]:
        """Forget a project and give the digests that it had."""
        self._accounts.pop(project, None)
        return set(self._tokens.pop(project, {}))

    def of(self, project: str) -> Mapping[bytes, ProjectToken]:
        """Give the live tokens of a project by digest (none when there is no such project)."""
        return self._tokens.get(project, {})

    def account(self, project: str) -> str:
        """Give the account of a project that has, or had, a token."""
        return self._accounts[project]

    def account_of(self, project: str) -> str:
        """Give the account of a project; "" when it has no token that is known here."""
        return self._accounts.get(project, "")

    def pairs(self) -> Iterator[tuple[str, bytes]]:
        """Give (project, digest) of every live token."""
        for project, of_project in self._tokens.items():
            for digest in of_project:
                yield project, digest
