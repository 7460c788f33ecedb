"""The mail server by which mail goes out, for programs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field

from management.access import Permission
from management.administrators import step_up
from management.api.bodies import Proof
from management.api.operations import STRICT, Code, Whole, operation
from management.configuration import outgoing_mail
from management.outgoing_mail import rules
from management.outgoing_mail.models import OutgoingMail
from management.outgoing_mail.rules import Encryption, MailServer
from runtime.errors import RefusedError

bp = Blueprint("outgoing_mail_api", __name__, url_prefix="/api/v1/outgoing-mail")
Address = Annotated[str, Field(max_length=rules.LONGEST_ADDRESS, pattern=r"^[^\x00]*$")]
Line = Annotated[str, Field(max_length=rules.LONGEST_SECRET, pattern=r"^[^\x00]*$")]
Receivers = Annotated[tuple[Address, ...], Field(max_length=rules.MOST_RECEIVERS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMailAnswer:
    """By which mail server mail goes out. The password is told to nobody."""

    host: str
    """Empty: none is entered, no mail goes out."""
    port: int
    encryption: Encryption
    sender: str
    user: str
    has_password: bool
    ca: str
    """PEM; empty: the CAs that the server's machine trusts."""
    checkpoints_to: tuple[str, ...]
    """Who gets each checkpoint of the audit trail."""
    changed_at: datetime | None
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMailChange:
    """By which mail server mail is to go out."""

    __pydantic_config__ = STRICT

    host: Address
    port: Annotated[int, Field(ge=1, le=65_535), Whole]
    encryption: Encryption
    """`none` only for a mail server on the same machine."""
    sender: Address
    user: Line = ""
    password: Line = ""
    """Empty: the one that is kept, while server, encryption, user and CA stay the same."""
    ca: Annotated[str, Field(max_length=rules.LONGEST_CA, pattern=r"^[^\x00]*$")] = ""
    checkpoints_to: Receivers = ()
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMail:
    """To whom a test mail goes."""

    __pydantic_config__ = STRICT

    to: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class MailStep:
    """One answer of the mail server, and to what."""

    asked: str
    answered: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMailAnswer:
    """What came of a test mail."""

    sent: bool
    """Whether the mail server took it."""
    problem: str
    """Why not."""
    said: tuple[MailStep, ...]
    """Each of its answers."""


@operation(bp, "", Permission.CHANGE_SETTINGS)
def get_outgoing_mail() -> OutgoingMailAnswer:
    """Get by which mail server mail goes out."""
    return _answer(outgoing_mail.find())


@operation(bp, "", Permission.CHANGE_SETTINGS, "PUT", refusals=(409,))
def change_outgoing_mail(body: OutgoingMailChange) -> OutgoingMailAnswer:
    """Let mail go out by another server, or to others."""
    step_up.require_code(body.code)
    server = outgoing_mail.completed(
        MailServer(
            host=body.host,
            port=body.port,
            encryption=body.encryption,
            sender=body.sender,
            user=body.user,
            password=body.password,
            ca=body.ca.strip(),
        )
    )
    receivers = tuple(dict.fromkeys(body.checkpoints_to))
    if problems := rules.problems(server, receivers):
        raise RefusedError(" ".join(f"{name}: {said}" for name, said in problems.items()))
    outgoing_mail.save(server, receivers)
    return get_outgoing_mail()


@operation(bp, "/test", Permission.CHANGE_SETTINGS, "POST", refusals=(409,))
def send_test_mail(body: TestMail) -> TestMailAnswer:
    """Send a test mail by the server that is entered."""
    tried = outgoing_mail.try_out(body.to)
    said = tuple(MailStep(asked=one.asked, answered=one.answered) for one in tried.said)
    return TestMailAnswer(sent=not tried.problem, problem=tried.problem, said=said)


@operation(bp, "/forget", Permission.CHANGE_SETTINGS, "POST", refusals=(409,))
def forget_outgoing_mail(body: Proof) -> OutgoingMailAnswer:
    """Let no mail go out any more."""
    step_up.require_code(body.code)
    outgoing_mail.forget()
    return get_outgoing_mail()


def _answer(row: OutgoingMail | None) -> OutgoingMailAnswer:
    starttls = Encryption.STARTTLS
    return OutgoingMailAnswer(
        host=row.host if row else "",
        port=row.port if row else rules.PORTS[starttls],
        encryption=Encryption(row.encryption) if row else starttls,
        sender=row.sender if row else "",
        user=row.user_name if row else "",
        has_password=bool(row and row.password),
        ca=row.ca if row else "",
        checkpoints_to=tuple(row.checkpoints_to) if row else (),
        changed_at=row.changed_at if row else None,
        changed_by=row.changed_by if row else "",
    )
