"""An error of the client, as its command says it: what is wrong, where, and what to do."""

from hub.client.errors import (
    Away,
    Changed,
    ClientError,
    NotAllowed,
    NotLoggedIn,
    NotThere,
    NotUnderstood,
    Problem,
    Refused,
    TooMuch,
)


def words(error: ClientError) -> str:
    """Give the lines of a message."""
    told = [one.detail for one in error.errors] == [error.detail]  # by its field, below
    lines = [error.title if told or not error.detail else f"{error.title}: {error.detail}"]
    lines += [f"  {one.pointer or '/'}: {one.detail}" for one in error.errors]
    lines += [f"  {hint}" for hint in [_what_to_do(error)] if hint]
    if isinstance(error, Refused) and error.problem.status >= 500 and error.problem.instance:
        lines.append(f"  The hub's log has more under {error.problem.instance}.")
    return "\n".join(lines)


def _what_to_do(error: ClientError) -> str:
    hint = ""
    match error:
        case NotLoggedIn(problem=Problem(code="unauthenticated")):
            hint = "The hub does not take this token (any more): isaax login"
        case NotAllowed(scope=scope, detail=detail) if scope and f"scope {scope}" in detail:
            hint = f"Use a token that has {scope}: isaax whoami says which one this is."
        case NotAllowed(detail=detail) if "only a person" in detail:
            hint = "Log in by your address and password: isaax login --email"
        case NotAllowed(problem=Problem(code="account-closing")):
            hint = "To undo that: isaax account undo-deletion"
        case NotAllowed(problem=Problem(code="locked" | "unverified")):
            hint = "Open the link of that mail, or give it to: isaax link"
        case NotThere(problem=Problem(code="not-found"), detail=detail) if (
            not detail or "no such" in detail
        ):
            hint = "Look at what there is: the command `list` beside this one."
        case Changed():
            hint = "Somebody else changed it meanwhile: look at it again, then repeat this."
        case TooMuch(again_after=float(seconds)) | Away(again_after=float(seconds)):
            hint = f"Try again in {seconds:.0f} s."
        case NotUnderstood():
            hint = "isaax whoami says which hub this is."
    return hint
