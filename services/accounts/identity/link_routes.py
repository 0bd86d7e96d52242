"""What the links in mails do, for programs; for people there are pages (`pages.py`)."""

from typing import Any, Final

import msgspec

from hub import Call, MailAddress, NoQuery, Reply, Route, Secret
from services.accounts.identity import contracts as c
from services.accounts.identity.errors import DeadLink, TooManyAttempts
from services.accounts.identity.user_routes import AcceptedView
from services.accounts.tokens import digest_of


class AskResetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose password is forgotten."""

    email: MailAddress


class TokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of a link: the last part of its path."""

    token: Secret


class ResetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of a link, and the new password: 10 to 128 characters."""

    token: Secret
    password: Secret


async def ask_reset(call: Call[AskResetBody, NoQuery]) -> Reply:
    """Answer `POST /password-resets`."""
    await call.bus.request(c.ASK_RESET, c.AskReset(call.body.email, call.client))
    return Reply(AcceptedView("if this address has an account, we mailed how to go on"))


async def reset_password(call: Call[ResetBody, NoQuery]) -> Reply:
    """Answer `POST /password-resets/redeem`."""
    return await _use(call, "reset", call.body.token, call.body.password)


async def verify_email(call: Call[TokenBody, NoQuery]) -> Reply:
    """Answer `POST /email-verifications`."""
    return await _use(call, "verify", call.body.token)


async def confirm_email_change(call: Call[TokenBody, NoQuery]) -> Reply:
    """Answer `POST /email-changes/redeem`."""
    return await _use(call, "email", call.body.token)


async def unlock(call: Call[TokenBody, NoQuery]) -> Reply:
    """Answer `POST /unlocks`."""
    return await _use(call, "unlock", call.body.token)


async def _use(
    call: Call[Any, NoQuery], kind: c.LinkKind, token: Secret, password: Secret | None = None
) -> Reply:
    digest = digest_of(token.reveal()).hex()
    await call.bus.request(c.USE_LINK, c.UseLink(kind, digest, password or Secret("")))
    return Reply()


RESETS: Final = "/api/v1/password-resets"


def routes() -> list[Route[Any, Any]]:
    """Give the routes of links."""
    token = {"token": "H7tWJv1C3mZ0q5o8Yb2rXkN4uPdLsGfAeQ6iTjVwBhM"}
    return [
        Route(
            method="POST", path=RESETS, summary="Ask for a link to set a new password",
            tag="users", handler=ask_reset, permission=None, anonymous=True, body=AskResetBody,
            response=AcceptedView, status=202, errors=(TooManyAttempts,),
            examples=(AskResetBody("ada@example.com"),),
            description="The answer is the same whether the address has an account or not.",
        ),
        Route(
            method="POST", path=f"{RESETS}/redeem", summary="Set a new password by a link",
            tag="users", handler=reset_password, permission=None, anonymous=True, body=ResetBody,
            status=204, errors=(DeadLink,),
            examples=({**token, "password": "correct horse battery staple"},),
            description="Ends every session, and unlocks.",
        ),
        *(
            Route(
                method="POST", path=path, summary=summary, tag="users", handler=handler,
                permission=None, anonymous=True, body=TokenBody, status=204, errors=(DeadLink,),
                examples=(token,),
                description="With the token of the link in a mail; it is good once.",
            )
            for path, summary, handler in (
                ("/api/v1/email-verifications", "Verify one's address", verify_email),
                ("/api/v1/email-changes/redeem", "Confirm a new address", confirm_email_change),
                ("/api/v1/unlocks", "Unlock logging in", unlock),
            )
        ),
    ]  # fmt: skip
