"""Other keys and a fresh certificate for an enrolled device, proved by the key that it has.

What a device asks for stands beside its present keys (`Device.renewal`) until a report comes in its
turn that the new key signed. Until then orders are sealed to the old key, reports of both are read
and relays let both in; so there is no moment at which the device is locked out.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import codec, envelope, keys
from contracts.agent import KeyProof, Renewal, RenewalRefused, Renewed, ReportItem
from contracts.plain_text import plain_json
from contracts.types import Jwk
from management.context import Context
from management.devices.models import Device
from management.keys import DeviceCertificate
from management.relays.service import announce_device, send_order
from management.work.service import enqueue
from runtime.errors import RefusedError, SekishoError, UnavailableError

log = logging.getLogger(__name__)
FOLLOWER = "mail_access.decide"


class SignedBy(StrEnum):
    """Which key of the device signed a report."""

    PRESENT = "present"
    NEXT = "next"
    """The one that a renewal brought and that no report used before."""
    FORMER = "former"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A renewal that is answered and that the device did not use yet; as `Device.renewal`."""

    seq: int
    """The order that answers it."""
    signing_key: Jwk
    encryption_key: Jwk
    serial: str
    until: str
    """When the certificate ends, ISO 8601."""


def keys_of(device: Device) -> dict[SignedBy, Jwk]:
    """Return the keys that a report of the device may be signed with, the likeliest first."""
    known = {
        SignedBy.PRESENT: device.signing_key,
        SignedBy.NEXT: device.renewal.get("signing_key"),
        SignedBy.FORMER: device.former_key,
    }
    return {by: key for by, key in known.items() if key}


def certify(context: Context, device: Device, now: datetime) -> str:
    """Issue a certificate for the device's present key, note it, and return it as PEM."""
    issued = context.keys.issue_device_certificate(
        device.id, keys.read_public(device.signing_key), now
    )
    device.certificate_serial, device.certificate_until = issued.serial, issued.until
    return issued.pem


def answer_renewals(
    session: Session, context: Context, device: Device, items: Iterable[ReportItem], now: datetime
) -> None:
    """Answer the last renewal that a report of the present key asks for; a later one replaces it.

    UnavailableError when the signer is away: then nothing is kept and the report comes again.
    """
    asked = [item for item in items if isinstance(item, Renewal)]
    if not asked:
        return
    try:
        _grant(session, context, device, asked[-1], now)
    except UnavailableError:
        raise
    except SekishoError as error:
        log.warning("A renewal is refused: %s", error, extra={"device": str(device.id)})
        no = RenewalRefused(renewal_id=asked[-1].renewal_id, reason=str(error)[:4000])
        send_order(session, context.keys, context.signer, device, no, now)


def _grant(
    session: Session, context: Context, device: Device, asked: Renewal, now: datetime
) -> None:
    proof = _proved(session, device, asked)
    signer = keys.read_public(proof.signing_key)
    issued: DeviceCertificate = context.keys.issue_device_certificate(device.id, signer, now)
    body = Renewed(
        renewal_id=asked.renewal_id,
        certificate=issued.pem,
        ca_certificate=context.keys.ca_certificate(),
    )
    seq = send_order(session, context.keys, context.signer, device, body, now)
    pending = Pending(
        seq=seq,
        signing_key=keys.public_jwk(signer),
        encryption_key=keys.public_jwk(keys.read_public(proof.encryption_key)),
        serial=issued.serial,
        until=issued.until.isoformat(),
    )
    device.renewal = asdict(pending)
    announce_device(session, device.id, now)


def _proved(session: Session, device: Device, asked: Renewal) -> KeyProof:
    """Return what the new key proves; RefusedError or another says why it does not."""
    claimed = codec.read(KeyProof, plain_json(envelope.unverified_payload(asked.proof)))
    signer = keys.read_public(claimed.signing_key)
    proof = codec.read(KeyProof, plain_json(envelope.verify(asked.proof, envelope.RENEWAL, signer)))
    follows = keys.thumbprint(keys.read_public(device.signing_key))
    if (proof.device_id, proof.renewal_id) != (device.id, asked.renewal_id):
        raise RefusedError("The proof belongs to another device or renewal.")
    if proof.former_thumbprint != follows:
        raise RefusedError("The proof does not follow the device's present key.")
    box = keys.public_jwk(keys.read_public(proof.encryption_key))
    stays = keys.public_jwk(signer) == device.signing_key
    if stays != (box == device.encryption_key):
        raise RefusedError("Both keys must be new, or both must stay.")
    if _used_before(session, device, keys.thumbprint(signer), keys.public_jwk(signer)):
        raise RefusedError("The new key was in use before; make a fresh one.")
    return proof


def _used_before(session: Session, device: Device, thumbprint: str, key: Jwk) -> bool:
    others = select(Device.id).where(Device.key_thumbprint == thumbprint, Device.id != device.id)
    return key == device.former_key or session.scalars(others.limit(1)).first() is not None


def settle(session: Session, device: Device, by: SignedBy, ack: int, now: datetime) -> None:
    """Let a renewal come true at the first report of the new key, which came in its turn.

    A report of the old key that acknowledges the answer means that the device no longer has the
    keys it asked for (it was set back): then the renewal is dropped and the old key stays.
    """
    if not device.renewal or (by is not SignedBy.NEXT and ack < device.renewal["seq"]):
        return
    pending, device.renewal = Pending(**device.renewal), {}
    stays = pending.signing_key == device.signing_key
    if by is SignedBy.NEXT or stays:
        if not stays:
            device.former_key = device.signing_key
        take_keys(device, pending.signing_key, pending.encryption_key)
        device.certificate_serial = pending.serial
        device.certificate_until = datetime.fromisoformat(pending.until)
        device.renewed_at = now
        tell_mail(session, [device.id], now)
    announce_device(session, device.id, now)


def tell_mail(session: Session, device_ids: Sequence[UUID], now: datetime) -> None:
    """Let mail connectors learn the certificates that these devices have now."""
    payload = {"device_ids": [str(one) for one in device_ids], "renewed": True}
    enqueue(session, FOLLOWER, f"{FOLLOWER}:{uuid4()}", payload, now=now)


def take_keys(device: Device, signing_key: Jwk, encryption_key: Jwk) -> None:
    """Let these be the device's keys."""
    device.signing_key, device.encryption_key = signing_key, encryption_key
    device.key_thumbprint = keys.thumbprint(keys.read_public(signing_key))


def drop(session: Session, device: Device, now: datetime) -> None:
    """Forget a renewal that is not used yet: its answer is worth nothing in a new epoch."""
    if device.renewal:
        device.renewal = {}
        announce_device(session, device.id, now)
