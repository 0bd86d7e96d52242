"""What the service `accounts` answers about second factors."""

from typing import Any

from hub import Database, Endpoint, Metrics, Vault
from services.accounts.identity.beginning import Beginning
from services.accounts.identity.errands import Errands
from services.accounts.identity.letters import Letters
from services.accounts.identity.lockout import Lockout
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.identity.tallies import Tallies
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.asking import Asking
from services.accounts.second_factors.challenges import Challenges
from services.accounts.second_factors.checking import Checking
from services.accounts.second_factors.enrolment import Enrolment
from services.accounts.second_factors.finishing import Finishing
from services.accounts.second_factors.keeping import Keeping
from services.accounts.second_factors.passkey_rules import PasskeyRules
from services.accounts.second_factors.passkeys import Passkeys
from services.accounts.second_factors.recovery import RecoveryCodes
from services.accounts.second_factors.relying_party import RelyingParty
from services.accounts.second_factors.totp import Totp


class SecondFactors:
    """The rules of second factors.

    `asking` is what the first step of a login needs of them, `keeping` what asks somebody to have
    shown lately that it is them.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        beginning: Beginning,
        reauthentication: Reauthentication,
        lockout: Lockout,
        tallies: Tallies,
        errands: Errands,
        letters: Letters,
        metrics: Metrics,
        *,
        origin: str,
    ) -> None:
        totp, codes = Totp(vault, f"Isaax {origin.partition('://')[2]}"), RecoveryCodes()
        passkeys = Passkeys(RelyingParty.at(origin))
        challenges = Challenges()
        checking = Checking(totp, codes, passkeys, letters)
        self.keeping = keeping = Keeping(checking, codes, letters)
        self.asking = Asking(checking, passkeys, challenges)
        self._finishing = Finishing(
            database, beginning, checking, passkeys, challenges, lockout, tallies, errands, metrics
        )
        self._enrolment = Enrolment(
            database, keeping, checking, challenges, totp, codes, passkeys, reauthentication,
            lockout,
        )  # fmt: skip
        self._passkeys = PasskeyRules(database, keeping, challenges, passkeys)

    def endpoints(self) -> list[Endpoint[Any, Any]]:
        """Give what is answered."""
        return [
            Endpoint(c.FINISH_LOG_IN, self._finishing.finish),
            Endpoint(c.ASK_PASSKEY, self._finishing.ask_passkey),
            Endpoint(c.ENTER_BY_PASSKEY, self._finishing.enter),
            Endpoint(c.REAUTHENTICATE, self._enrolment.reauthenticate),
            Endpoint(c.REAUTHENTICATION_OPTIONS, self._enrolment.reauthentication_options),
            Endpoint(c.GET_FACTORS, self._enrolment.get),
            Endpoint(c.START_TOTP, self._enrolment.start_totp),
            Endpoint(c.CONFIRM_TOTP, self._enrolment.confirm_totp),
            Endpoint(c.REMOVE_TOTP, self._enrolment.remove_totp),
            Endpoint(c.RENEW_CODES, self._enrolment.renew_codes),
            Endpoint(c.PASSKEY_OPTIONS, self._passkeys.options),
            Endpoint(c.ADD_PASSKEY, self._passkeys.add),
            Endpoint(c.LIST_PASSKEYS, self._passkeys.page),
            Endpoint(c.GET_PASSKEY, self._passkeys.get),
            Endpoint(c.RENAME_PASSKEY, self._passkeys.rename),
            Endpoint(c.REMOVE_PASSKEY, self._passkeys.remove),
        ]
