"""Opens what a relay delivered and proves who wrote it; everything before that is only a claim."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from joserfc.jwk import ECKey
from sqlalchemy.orm import Session

from contracts import codec, envelope, keys
from contracts.agent import EnrolmentRequest, Report
from contracts.link import Inbound
from contracts.plain_text import plain_json
from management.check_in.rules import digest
from management.devices.models import Device
from management.devices.queries import lock_device
from management.enrolment.renewing import SignedBy, keys_of
from runtime.errors import MalformedMessageError, NotFoundError, TooLargeError, UnauthenticatedError

KeyOf = Callable[[str], ECKey]
"""Says which of management's keys opens a sealed message."""


class SuspiciousError(Exception):
    """A message that an honest device and relay would not deliver; it is removed and noted.

    Whoever raises it has written nothing of the message yet.
    """

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem, self.detail = problem, detail


@dataclass(frozen=True, slots=True)
class Opened:
    """A report whose signature by its device holds."""

    device: Device
    report: Report
    hashed: str
    signed_by: SignedBy


def open_ahead(session: Session, items: Sequence[Inbound], key_of: KeyOf) -> dict[int, Opened]:
    """Open reports at once, which is quicker than one now and then; by their place in *items*.

    Left out is what depends on a message before it (a report may bring its device another key, and
    a request to enrol may do so to anybody's), and what is suspicious: its turn comes.
    """
    ahead: dict[UUID, int] = {}
    for place, item in enumerate(items):
        if item.kind != "report":
            break
        ahead.setdefault(item.sender, place)
    tokens, opened = dict[int, str](), dict[int, Opened]()
    for place in ahead.values():
        with suppress(SuspiciousError):
            tokens[place] = _decrypted(items[place], key_of)
    for place, token in tokens.items():
        with suppress(SuspiciousError):
            opened[place] = _read(_claimed_device(session, items[place].sender), token)
    return opened


def open_report(session: Session, item: Inbound, key_of: KeyOf) -> Opened:
    """Return the report in *item* and its device, locked; SuspiciousError says what is wrong."""
    device = _claimed_device(session, item.sender)
    return _read(device, _decrypted(item, key_of))


def _read(device: Device, token: str) -> Opened:
    by, payload = _by_device(token, device)
    try:
        report = codec.read(Report, plain_json(payload))
    except (MalformedMessageError, TooLargeError) as error:
        raise SuspiciousError("unreadable", str(error)) from None
    if report.iss != device.id:
        raise SuspiciousError("foreign", f"It says that device {report.iss} wrote it.")
    return Opened(device, report, digest(payload), by)


def open_request(item: Inbound, key_of: KeyOf) -> EnrolmentRequest:
    """Return the request in *item*, signed with the key that it names; else SuspiciousError."""
    try:
        token = envelope.decrypt(item.sealed, key_of(item.sealed))
        said = plain_json(envelope.unverified_payload(token))
        claimed = codec.read(EnrolmentRequest, said)
        signer = keys.read_public(claimed.signing_key)
        keys.read_public(claimed.encryption_key)
    except (MalformedMessageError, TooLargeError) as error:
        raise SuspiciousError("unreadable", str(error)) from None
    payload = _verified(token, envelope.ENROLMENT, signer)
    request = codec.read(EnrolmentRequest, plain_json(payload))
    if request.enrolment_id != item.sender:
        raise SuspiciousError("foreign", f"It belongs to enrolment {request.enrolment_id}.")
    return request


def _claimed_device(session: Session, sender: UUID) -> Device:
    try:
        return lock_device(session, sender)
    except NotFoundError:
        raise SuspiciousError("foreign", "No device with this id ever enrolled.") from None


def _by_device(token: str, device: Device) -> tuple[SignedBy, bytes]:
    """Return which of the device's keys signed *token*, and what; else SuspiciousError."""
    why = ""
    for by, signer in keys_of(device).items():
        try:
            return by, _verified(token, envelope.REPORT, keys.read_public(signer))
        except SuspiciousError as error:
            if error.problem != "forged":
                raise
            why = why or error.detail
    raise SuspiciousError("forged", why)


def _decrypted(item: Inbound, key_of: KeyOf) -> str:
    try:
        return envelope.decrypt(item.sealed, key_of(item.sealed))
    except (MalformedMessageError, TooLargeError) as error:
        raise SuspiciousError("unreadable", str(error)) from None


def _verified(token: str, typ: str, signer: ECKey) -> bytes:
    try:
        return envelope.verify(token, typ, signer)
    except (MalformedMessageError, TooLargeError) as error:
        raise SuspiciousError("unreadable", str(error)) from None
    except UnauthenticatedError as error:
        raise SuspiciousError("forged", str(error)) from None
