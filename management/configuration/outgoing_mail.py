"""Changes the mail server by which mail goes out, and tries it; each with its audit entry."""

from dataclasses import dataclass, field
from secrets import token_hex

from sqlalchemy.orm import Session

from management.access import signed_in_name
from management.audit.notes import note
from management.audit.rules import differences
from management.outgoing_mail import rules, service, smtp
from management.outgoing_mail.models import OutgoingMail
from management.outgoing_mail.queries import find_outgoing_mail
from management.outgoing_mail.rules import MailServer
from management.outgoing_mail.smtp import PostponedError, Step
from management.outgoing_mail.writing import Mail
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError, SekishoError

NOTHING_ENTERED = "No mail server is entered yet."


@dataclass(slots=True)
class Tried:
    """What came of a test mail."""

    to: str
    said: list[Step] = field(default_factory=list)
    """Each answer of the mail server."""
    problem: str = ""
    """Why it did not go out; empty: the mail server took it."""
    is_postponed: bool = False
    """The mail server may take it later."""


def find() -> OutgoingMail | None:
    """Return what was entered."""
    with reading() as session:
        return find_outgoing_mail(session)


def completed(entered: MailServer) -> MailServer:
    """Return *entered* with the kept password where none was typed and it may stay."""
    return service.with_kept_password(find(), context().keys, entered)


def save(server: MailServer, receivers: tuple[str, ...]) -> None:
    """Let mail go out by *server*, which `completed` and `rules.problems` saw before."""
    with transaction("save outgoing mail") as session:
        before = service.told(find_outgoing_mail(session))
        service.save(session, context().keys, server, receivers, signed_in_name(), utc_now())
        _noted(session, "outgoing_mail.save", server.host, before)


def forget() -> None:
    """Let no mail go out any more; RefusedError when none does."""
    with transaction("forget outgoing mail") as session:
        row = find_outgoing_mail(session)
        if row is None:
            raise RefusedError(NOTHING_ENTERED)
        before, host = service.told(row), row.host
        service.forget(session)
        _noted(session, "outgoing_mail.forget", host, before)


def try_out(to: str) -> Tried:
    """Send a test mail to *to* and return what the mail server answered.

    RefusedError: none is entered, or somebody tries it right now.
    """
    row = find()
    if row is None:
        raise RefusedError(NOTHING_ENTERED)
    if not rules.is_address(to):
        raise MalformedMessageError(rules.NO_ADDRESS)
    tried = Tried(to)
    with service.trying():
        _send(row, tried)
    with transaction("note a test mail") as session:
        note(session, "outgoing_mail.test", to, sent=not tried.problem)
    return tried


def _send(row: OutgoingMail, tried: Tried) -> None:
    try:
        server = service.server_of(row, context().keys)
        smtp.send(server, _test_mail(server, tried.to), tried.said)
    except SekishoError as error:
        tried.problem, tried.is_postponed = str(error), isinstance(error, PostponedError)


def _test_mail(server: MailServer, to: str) -> Mail:
    here = context().settings.public_name
    return Mail(
        to=to,
        subject=f"Sekisho test mail / テストメール ({here})",
        text=(
            f"{signed_in_name()} sent this from {here} to see whether mail arrives. Nothing is to "
            "be done.\n\n"
            f"{here} の {signed_in_name()} が、メールが届くか確かめるために送りました。"
            "対応は不要です。\n"
        ),
        message_id=f"{token_hex(20)}@{server.sender.partition('@')[2]}",
        at=utc_now(),
    )


def _noted(session: Session, action: str, host: str, before: object) -> None:
    session.flush()
    after = service.told(find_outgoing_mail(session))
    old = dict(before) if isinstance(before, dict) else {}
    names = dict.fromkeys((*old, *after))
    note(session, action, host, **differences(old, {name: after.get(name) for name in names}))
