"""What a mail is, and how it is written (RFC 5322)."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from management.outgoing_mail.rules import MailServer, is_address
from runtime.errors import MalformedMessageError, TooLargeError

LARGEST_BYTES = 1024 * 1024
POLICY = SMTP.clone(cte_type="7bit")
"""Every server takes seven bits; and a line break in a header is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail to one receiver, so that a refusal is about nobody else."""

    to: str
    subject: str
    text: str
    message_id: str
    """Without angle brackets; the same for the same content, so that mailboxes can tell."""
    at: datetime
    attachment: tuple[str, str] | None = None
    """Name and text of a file."""


def written(server: MailServer, mail: Mail) -> bytes:
    """Return the mail as it is sent; MalformedMessageError when a part would end its header."""
    message = EmailMessage(policy=POLICY)
    try:
        message["From"], message["To"] = plain(server.sender), plain(mail.to)
        message["Subject"], message["Date"] = _one_line(mail.subject), format_datetime(mail.at)
        message["Message-ID"] = f"<{mail.message_id}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it by a program
    except ValueError as error:
        raise MalformedMessageError(f"This cannot be a header of a mail: {error}") from None
    message.set_content(mail.text)
    if mail.attachment is not None:
        name, text = mail.attachment
        message.add_attachment(text, filename=name, cte="base64")
    content = message.as_bytes()
    if len(content) > LARGEST_BYTES:
        raise TooLargeError(f"The mail is larger than {LARGEST_BYTES} bytes.")
    return content


def plain(address: str) -> str:
    """Return *address*; MalformedMessageError when it is none that SMTP takes."""
    if not is_address(address):
        raise MalformedMessageError(f"This is no mail address: {address[:100]!r}.")
    return address


def _one_line(text: str) -> str:
    """Return *text*; ValueError when it is more than one line, which not every Python refuses."""
    if "".join(text.splitlines()) != text:
        raise ValueError("it has more than one line")
    return text
