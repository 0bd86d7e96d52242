"""A mail as it crosses the wire: RFC 5322 with its text twice, as plain text and as HTML."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from hub import Mail, one_line

_SUBJECT: Final = 200  # characters
_POLICY: Final = SMTP.clone(cte_type="7bit")  # for servers without 8BITMIME, too


def compose(mail: Mail, *, id: str, sent: datetime, sender: Address, reply_to: str) -> EmailMessage:  # noqa: A002
    """Write a mail; the same mail is the same to the byte whenever it is tried again.

    Args:
        id: of the mail; makes its `Message-ID` (RFC 5322, 3.6.4), by which a mail that comes twice
            because an answer got lost is recognised.
        sent: when it was asked for.
        reply_to: address, "" for the sender's own.
    """
    message = EmailMessage(_POLICY)
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = one_line(mail.subject, _SUBJECT)
    message["Date"] = format_datetime(sent.astimezone(UTC))
    message["Message-ID"] = f"<{id}@{sender.domain}>"
    if reply_to:
        message["Reply-To"] = Address(addr_spec=reply_to)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834, 5: no out-of-office answers
    message["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message["Content-Language"] = mail.locale  # of both parts; `set_content` takes it for its own
    message.set_boundary(f"=_{id}")
    return message
