"""What keeps people out; the words are the same whether an address has an account or not."""

from hub import Forbidden, LimitReached, NotFound, Unauthenticated


class WrongCredentials(Unauthenticated):
    """The e-mail address or the password is wrong."""

    code = "wrong-credentials"


class TooManyAttempts(LimitReached):
    """There were too many attempts.

    Wait as long as `Retry-After` says. From a device that you have logged in from before, the
    attempts of others do not count.
    """

    code = "too-many-attempts"


class Locked(Forbidden):
    """Logging in to this address is locked after too many wrong passwords.

    It opens by itself after an hour, at once by the link in the mail that was sent to the address,
    and with a new password.
    """

    code = "locked"


class Unverified(Forbidden):
    """This e-mail address is not verified yet.

    Use the link in the mail that was sent to it. Signing up again sends another one.
    """

    code = "unverified"


class Suspended(Forbidden):
    """The operator of this hub has suspended you."""

    code = "suspended"


class SignupClosed(Forbidden):
    """This hub takes no sign-ups."""

    code = "signup-closed"


class DeadLink(NotFound):
    """This link is not valid: it was used already, has expired, or was replaced by another."""

    code = "dead-link"
