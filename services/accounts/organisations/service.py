"""What the service `accounts` answers and hears about organisations."""

from typing import Any

from hub import Bus, Consumer, Database, Endpoint, Vault
from services.accounts import peers
from services.accounts.identity.letters import Letters
from services.accounts.identity.service import Identity
from services.accounts.organisations import contracts as c
from services.accounts.organisations import invitation_contracts as i
from services.accounts.organisations.accepting import Accepting
from services.accounts.organisations.directory import Directory
from services.accounts.organisations.invitations import Invitations
from services.accounts.organisations.members import Members
from services.accounts.organisations.narrowing import Narrowing
from services.accounts.organisations.transfer import Transfers


class Organisations:
    """The rules of organisations, each where it is asked for."""

    def __init__(
        self, database: Database, vault: Vault, bus: Bus, letters: Letters, identity: Identity
    ) -> None:
        self._directory = Directory(database, letters)
        self._members = Members(database)
        self._narrowing = Narrowing(database, bus)
        self._invitations = Invitations(database, vault, identity.tallies, letters)
        self._accepting = Accepting(database, identity.rules, identity.passwords)
        self._transfers = Transfers(database, identity.reauthentication, letters)

    def endpoints(self) -> list[Endpoint[Any, Any]]:
        """Give what is answered."""
        return [
            Endpoint(c.LIST, self._directory.page),
            Endpoint(c.GET, self._directory.get),
            Endpoint(c.FOUND, self._directory.found),
            Endpoint(c.CHANGE, self._directory.change),
            Endpoint(c.LIST_MEMBERS, self._members.page),
            Endpoint(c.GET_MEMBER, self._members.get),
            Endpoint(c.CHANGE_MEMBER, self._members.change),
            Endpoint(c.REMOVE_MEMBER, self._members.remove),
            Endpoint(c.LIST_PROJECT_MEMBERS, self._narrowing.page),
            Endpoint(c.GET_PROJECT_MEMBER, self._narrowing.get),
            Endpoint(c.NARROW, self._narrowing.narrow),
            Endpoint(c.WIDEN, self._narrowing.widen),
            Endpoint(i.INVITE, self._invitations.invite),
            Endpoint(i.LIST_INVITATIONS, self._invitations.page),
            Endpoint(i.GET_INVITATION, self._invitations.get),
            Endpoint(i.RESEND_INVITATION, self._invitations.resend),
            Endpoint(i.WITHDRAW_INVITATION, self._invitations.withdraw),
            Endpoint(i.LOOK_AT_INVITATION, self._accepting.look),
            Endpoint(i.ACCEPT_INVITATION, self._accepting.accept),
            Endpoint(i.OFFER_TRANSFER, self._transfers.offer),
            Endpoint(i.GET_TRANSFER, self._transfers.get),
            Endpoint(i.WITHDRAW_TRANSFER, self._transfers.withdraw),
            Endpoint(i.LOOK_AT_TRANSFER, self._transfers.look),
            Endpoint(i.ACCEPT_TRANSFER, self._transfers.accept),
        ]

    def consumers(self) -> list[Consumer[Any]]:
        """Give what is heard."""
        return [
            Consumer(peers.PROJECT_DELETED, "accounts-projects", self._narrowing.project_deleted)
        ]
