"""People over HTTP: sign up, and what one may know and change of oneself."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from hub import (
    SIGNED_IN,
    Call,
    Conflict,
    LimitReached,
    MailAddress,
    NoQuery,
    NotFound,
    PreconditionFailed,
    Reply,
    Route,
    Secret,
    merge_patch,
)
from hub.structs import decode
from services.accounts.identity import contracts as c
from services.accounts.identity.errors import SignupClosed, TooManyAttempts
from services.accounts.identity.session_routes import KNOWN
from services.accounts.tokens import digest_of

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class SignUpBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs up.

    Args:
        password: 10 to 128 characters, and none of the most common ones.
        locale: of mails and pages.
    """

    email: MailAddress
    password: Secret
    name: Name
    locale: c.Locale = "en"


class AcceptedView(msgspec.Struct, frozen=True):
    """What was asked for is being done; `detail` says where its outcome will be told."""

    detail: str


class UserView(msgspec.Struct, frozen=True):
    """A person as the API shows them to themselves."""

    id: str
    email: str
    name: str
    locale: c.Locale
    created_at: datetime
    updated_at: datetime


class UserBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person sets of themselves."""

    name: Name
    locale: c.Locale


class PasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new password, and the one that it replaces."""

    current_password: Secret
    new_password: Secret


class EmailBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address that somebody wants to have, and their password."""

    email: MailAddress
    password: Secret


def _reply(user: c.User) -> Reply:
    view = UserView(user.id, user.email, user.name, user.locale, user.created_at, user.updated_at)
    return Reply(view, version=str(user.version))


async def sign_up(call: Call[SignUpBody, NoQuery]) -> Reply:
    """Answer `POST /users`."""
    body = call.body
    await call.bus.request(
        c.SIGN_UP, c.SignUp(body.email, body.password, body.name, body.locale, call.client)
    )
    return Reply(AcceptedView("we mailed to this address how to go on"))


async def get_me(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /users/me`."""
    return _reply(await call.bus.request(c.GET_USER, c.OneUser(call.caller.user)))


async def patch_me(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /users/me`."""
    user = call.caller.user
    current = await call.bus.request(c.GET_USER, c.OneUser(user))
    now = {"name": current.name, "locale": current.locale}
    body = decode(UserBody, merge_patch(now, call.body))
    versions = call.replaces(str(current.version))
    changed = await call.bus.request(
        c.CHANGE_USER, c.ChangeUser(user, body.name, body.locale, versions)
    )
    return _reply(changed)


async def put_password(call: Call[PasswordBody, NoQuery]) -> Reply:
    """Answer `PUT /users/me/password`."""
    known = call.cookies.get(KNOWN, "")
    await call.bus.request(
        c.CHANGE_PASSWORD,
        c.ChangePassword(
            user=call.caller.user,
            current=call.body.current_password,
            new=call.body.new_password,
            session=call.caller.actor,
            device=digest_of(known).hex() if known else "",
        ),
    )
    return Reply()


async def change_email(call: Call[EmailBody, NoQuery]) -> Reply:
    """Answer `POST /email-changes`."""
    await call.bus.request(
        c.CHANGE_EMAIL, c.ChangeEmail(call.caller.user, call.body.email, call.body.password)
    )
    return Reply(AcceptedView("we mailed to the new address how to go on"))


USERS: Final = "/api/v1/users"
ME: Final = f"{USERS}/me"
_OWN: Final = SIGNED_IN.name


def routes() -> list[Route[Any, Any]]:
    """Give the routes of people."""
    password = "correct horse battery staple"  # noqa: S105 - an example
    return [
        Route(
            method="POST", path=USERS, summary="Sign up", tag="users", handler=sign_up,
            permission=None, anonymous=True, body=SignUpBody, response=AcceptedView, status=202,
            errors=(SignupClosed, TooManyAttempts),
            examples=({"email": "ada@example.com", "password": password, "name": "Ada"},),
            description="The mail has a link that verifies the address and makes an account, "
            "whose owner you are. If the address has one already, the mail says so; this answer "
            "is the same.",
        ),
        Route(
            method="GET", path=ME, summary="Read oneself", tag="users", handler=get_me,
            permission=_OWN, response=UserView, errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=ME, summary="Change one's name and language", tag="users",
            handler=patch_me, permission=_OWN, interactive=True, body=UserBody,
            response=UserView, errors=(NotFound, PreconditionFailed),
            examples=({"locale": "ja"},),
        ),
        Route(
            method="PUT", path=f"{ME}/password", summary="Change one's password", tag="users",
            handler=put_password, permission=_OWN, interactive=True, body=PasswordBody,
            status=204, errors=(LimitReached, Conflict), versioned=False,
            examples=(
                {"current_password": password, "new_password": "staple battery horse correct"},
            ),
            description="Ends every other session.",
        ),
        Route(
            method="POST", path="/api/v1/email-changes", summary="Change one's address",
            tag="users", handler=change_email, permission=_OWN, interactive=True, body=EmailBody,
            response=AcceptedView, status=202, errors=(LimitReached,),
            examples=({"email": "ada@example.org", "password": password},),
            description="The mail to the new address has the link that changes it; the old one "
            "is told.",
        ),
    ]  # fmt: skip
