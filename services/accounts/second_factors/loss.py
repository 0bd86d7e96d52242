"""Helping somebody who has lost all their second factors, by whoever runs the hub."""

from hub import Connection, NotFound, Queries
from services.accounts.identity.letters import Letters
from services.accounts.identity.people import People, normalised


async def drop_factors(tx: Connection, letters: Letters, email: str) -> None:
    """Let the password alone log somebody in again, and tell them.

    Raises:
        NotFound: nobody has this address.
    """
    person = await People().at(tx, normalised(email))
    if person is None:
        raise NotFound("nobody has this address")
    sql = Queries.load("services.accounts.second_factors")
    await tx.run(sql["drop_factors"], user=person.id)
    await letters.send(
        tx, "factor-removed", person.id, person.email, person.locale,
        app=False, name="", all=True, last=True,
    )  # fmt: skip
