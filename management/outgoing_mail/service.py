"""Keeps the mail server that was entered, its password sealed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from threading import Lock

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from management.database import locked
from management.keys import Keys
from management.outgoing_mail.models import OutgoingMail
from management.outgoing_mail.rules import Encryption, MailServer
from runtime.errors import MalformedMessageError, RefusedError

BUSY = "The mail server is being tried already. Try again in half a minute."
_trying = Lock()


@contextmanager
def trying() -> Iterator[None]:
    """Try the mail server alone; RefusedError at once when somebody does.

    A silent server holds a thread of the console for as long as a conversation may take: one.
    """
    if not _trying.acquire(blocking=False):
        raise RefusedError(BUSY)
    try:
        yield
    finally:
        _trying.release()


def server_of(row: OutgoingMail, keys: Keys) -> MailServer:
    """Return the mail server with its password; MalformedMessageError when that does not open."""
    return replace(_without_password(row), password=_opened(row, keys))


def with_kept_password(row: OutgoingMail | None, keys: Keys, entered: MailServer) -> MailServer:
    """Return *entered*; without a password it gets the kept one, if that would go to the same
    server, kept as secret, for the same user: else whoever changes settings could have it sent to
    a server of theirs.
    """
    if row is None or entered.password or not entered.user:
        return entered
    same = replace(_without_password(row), sender=entered.sender) == entered
    return replace(entered, password=_opened(row, keys)) if same else entered


def save(
    session: Session,
    keys: Keys,
    server: MailServer,
    receivers: tuple[str, ...],
    by: str,
    now: datetime,
) -> None:
    """Let mail go out by *server* from now on; `rules.problems` was asked before."""
    row = session.scalars(locked(select(OutgoingMail), OutgoingMail)).first()
    if row is None:
        row = OutgoingMail(id=1)
        session.add(row)
    row.host, row.port, row.encryption = server.host, server.port, server.encryption.value
    row.sender, row.user_name, row.ca = server.sender, server.user, server.ca
    if not _is_kept(row, keys, server.password):
        row.password = keys.seal(server.password) if server.password else ""
    row.checkpoints_to = list(receivers)
    row.changed_at, row.changed_by = now, by[:255]
    session.flush()


def forget(session: Session) -> None:
    """Let no mail go out any more."""
    session.execute(delete(OutgoingMail))


def told(row: OutgoingMail | None) -> Mapping[str, object]:
    """Return the settings as the audit trail tells them: that a password changed, never which."""
    if row is None:
        return {}
    names = ("host", "port", "encryption", "sender", "user_name", "checkpoints_to", "password")
    ca = sha256(row.ca.encode()).hexdigest() if row.ca else ""
    return {name: getattr(row, name) for name in names} | {"ca_sha256": ca}


def _without_password(row: OutgoingMail) -> MailServer:
    return MailServer(
        host=row.host,
        port=row.port,
        encryption=Encryption(row.encryption),
        sender=row.sender,
        user=row.user_name,
        ca=row.ca,
    )


def _is_kept(row: OutgoingMail, keys: Keys, password: str) -> bool:
    """Return whether *password* is the kept one: sealed anew it would look like another."""
    try:
        return bool(row.password) and _opened(row, keys) == password
    except MalformedMessageError:  # sealed under a key that is lost
        return False


def _opened(row: OutgoingMail, keys: Keys) -> str:
    return keys.unseal(row.password) if row.password else ""
