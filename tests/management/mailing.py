"""A mail server that is entered in the console already, for tests that send."""

from collections.abc import Iterator
from contextlib import contextmanager

from management.context import Context
from management.outgoing_mail import service
from management.outgoing_mail.rules import Encryption, MailServer
from runtime.clock import utc_now
from tests.servers.smtp import Post, smtp_server


@contextmanager
def entered_mail_server(context: Context) -> Iterator[Post]:
    """Yield what the server takes."""
    with smtp_server() as running:
        server = MailServer(
            host="localhost",
            port=running.port,
            encryption=Encryption.STARTTLS,
            sender="sekisho@example.com",
            ca=running.ca,
        )
        with context.database.transaction("test") as session:
            service.save(session, context.keys, server, (), "keeper", utc_now())
        yield running
