"""What goes wrong with second factors."""

from hub import Conflict, Forbidden, NotFound, Unauthenticated


class WrongFactor(Unauthenticated):
    """This is not a second factor of yours, or it was used already.

    A code of an authenticator app is good once, and for about a minute; a recovery code is good
    once.
    """

    code = "wrong-factor"


class DeadChallenge(NotFound):
    """This challenge is not valid: it was answered, has expired, or was answered wrong too often.

    It is good once, for five minutes, and only for whoever asked for it. Begin anew.
    """

    code = "dead-challenge"


class ProofRequired(Forbidden):
    """Show first that it is you.

    You have logged in too long ago for this: show your password or a second factor once more at
    `POST /api/v1/reauthentications`, then try again.
    """

    code = "proof-required"


class PasskeysUnavailable(Conflict):
    """This hub takes no passkeys where it is.

    Browsers use passkeys at a name with HTTPS, or on `localhost`. Whoever runs the hub sets
    `http.public_url` to its name.
    """

    code = "passkeys-unavailable"
