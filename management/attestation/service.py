"""Asks secure hardware of Android devices what it knows, and keeps the answers as facts.

A device proves the key that it signs with when it enrols: from then on this key and what the
hardware says belong together. Later questions are answered with a fresh key, because Android says
how the device started only of a key that is made at that time.
"""

import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from secrets import token_bytes
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete
from sqlalchemy.orm import Session

from contracts import keys
from contracts.agent import AskAttestation, Attestation, EnrolmentRequest, Renewal, ReportItem
from contracts.attestation import KeyDescription, enrolment_challenge, renewal_challenge
from management.attestation.models import AttestedCertificate, DeviceAttestation
from management.attestation.queries import concerned, revoked_among
from management.attestation.rules import (
    Proof,
    UnprovedError,
    failing,
    prove,
    revoked_because,
    serials,
)
from management.attestation.trust import anchors
from management.compliance.attested import contradictions
from management.context import Context
from management.devices.models import Device
from management.devices.queries import get_facts, lock_device
from management.devices.rules import ATTESTATION, Fact, FactKind
from management.devices.service import record_facts
from management.relays.service import send_order
from management.settings import Settings
from runtime.errors import ConfigurationError, UnavailableError

log = logging.getLogger(__name__)
PATIENCE = timedelta(days=3)
"""So long a device that reports may take to answer."""
SOONEST = timedelta(hours=1)
"""Between two questions, whatever the device says of itself meanwhile."""
LONGEST_SERIAL = 64
"""Hexadecimal digits; RFC 5280 allows 40, and no list has longer ones."""


def take_enrolment(
    session: Session, settings: Settings, device: Device, request: EnrolmentRequest, now: datetime
) -> None:
    """Keep what the hardware says of the key with which a device enrols.

    A key is attested once, when it is made: a device that comes back with it keeps its proof.
    UnavailableError when a file of this server cannot be read: then the request comes again.
    """
    row = session.get(DeviceAttestation, device.id)
    if row is not None:
        row.challenge = ""
        if _thumbprint(device) in (row.key_thumbprint, row.next_thumbprint):
            return
    if not request.attestation:
        if row is not None:
            row.key_thumbprint, row.next_thumbprint, row.answered_at = "", "", now
            _forget_chains(session, row)
            _fail(session, device, "it enrolled without proving its key", now)
        return
    challenge = enrolment_challenge(request.enrolment_key, request.enrolment_id)
    proof, because = _proved_now(session, settings, request.attestation, challenge, now)
    if proof is not None and not _is_own(device, proof.key):
        proof, because = None, "the attested key is not the one that the device signs with"
    row = row or DeviceAttestation(device_id=device.id)
    row.key_thumbprint, row.next_thumbprint = _thumbprint(device) if proof else "", ""
    row.answered_at = now
    session.add(row)
    _forget_chains(session, row)
    if proof:
        _rest_on(session, row, request.attestation, row.key_thumbprint)
    _record(session, device, proof, because, now)


def follow_report(
    session: Session,
    context: Context,
    device: Device,
    items: Iterable[ReportItem],
    is_wanted: bool,
    now: datetime,
) -> None:
    """Keep the answers in a report, and ask anew when it is time and the policy wants to know."""
    for item in items:
        if isinstance(item, Attestation):
            take_answer(session, context.settings, device, item, now)
        elif isinstance(item, Renewal) and item.attestation:
            take_renewal(session, context.settings, device, item, now)
    if is_wanted and device.platform == "android":
        ask_if_due(session, context, device, now)


def ask_if_due(session: Session, context: Context, device: Device, now: datetime) -> None:
    """Ask a device that just reported when its proof is old or its own word differs from it.

    Only one that proved its key understands the question. One that does not answer in time has
    failed: silence about this alone is no oversight of a device that reports.
    """
    row = session.get(DeviceAttestation, device.id)
    if row is None or not row.key_thumbprint:
        return
    if row.challenge and row.asked_at is not None:
        if now >= row.asked_at + PATIENCE:
            asked = f"{row.asked_at:%Y-%m-%d %H:%M} UTC"
            _fail(session, device, f"it was asked on {asked} and has not answered", now)
        return
    if now >= row.answered_at + _rhythm(session, context.settings, device):
        row.challenge, row.asked_at = _text(token_bytes(32)), now
        body = AskAttestation(challenge=row.challenge)
        send_order(session, context.keys, context.signer, device, body, now)


def take_renewal(
    session: Session, settings: Settings, device: Device, said: Renewal, now: datetime
) -> None:
    """Note that hardware vouches for the key of a renewal too, so that proofs go on with it.

    UnavailableError when a file of this server cannot be read: then the report comes again.
    """
    row, fresh = session.get(DeviceAttestation, device.id), device.renewal.get("signing_key")
    if row is None or not row.key_thumbprint or fresh is None:
        return
    if _thumbprint(device) == row.next_thumbprint:  # of the renewal before this one
        row.key_thumbprint = row.next_thumbprint
    challenge = renewal_challenge(device.id, said.renewal_id)
    proof, because = _proved_now(session, settings, said.attestation, challenge, now)
    if proof is not None and proof.key == keys.read_raw_public(fresh):
        row.next_thumbprint = keys.thumbprint(keys.read_public(fresh))
        _forget_chains(session, row, but=("", row.key_thumbprint))
        _rest_on(session, row, said.attestation, row.next_thumbprint)
        _record(session, device, proof, because, now)


def take_answer(
    session: Session, settings: Settings, device: Device, said: Attestation, now: datetime
) -> None:
    """Keep the answer to the open question; any other is an old one and says nothing."""
    row = session.get(DeviceAttestation, device.id)
    if row is None or not row.challenge or said.challenge != row.challenge:
        log.info("An attestation answers no open question", extra={"device": str(device.id)})
        return
    challenge = urlsafe_b64decode(row.challenge + "=")
    if _thumbprint(device) not in (row.key_thumbprint, row.next_thumbprint):
        proof, because = None, "the key that the device signs with was never attested"
    elif not said.chain:
        proof, because = None, f"it could not: {said.because or 'no reason given'}"
    else:
        try:
            proof, because = _proved(session, settings, said.chain, challenge, now)
        except ConfigurationError as error:  # ours, not the device's: ask again
            log.error(str(error))
            row.challenge, row.answered_at = "", now - _days(settings) + SOONEST
            return
    row.challenge, row.answered_at = "", now
    _forget_chains(session, row, but=_known_keys(row))
    if proof:
        _rest_on(session, row, said.chain, "")
    _record(session, device, proof, because, now)


def fail_revoked(session: Session, settings: Settings, now: datetime, limit: int) -> list[UUID]:
    """Take back proofs that rest on a key which is on the list by now; return whose.

    A device whose signing key was vouched for by such a key is asked no more: it must enrol again.
    One whose last answer rests on it is asked anew at its next report. A renewal that rests on it
    does not count; a key that gave way to a renewal says nothing any more. Call it until none is
    left.
    """
    found = concerned(session, limit)
    for one in found:
        device = lock_device(session, one.device_id)
        row = session.get_one(DeviceAttestation, device.id)
        if one.key_thumbprint in ("", _thumbprint(device)):
            row.challenge, row.answered_at = "", now - _days(settings)
            _fail(session, device, revoked_because(one.serial), now)
        if one.key_thumbprint == _thumbprint(device):
            row.key_thumbprint = row.next_thumbprint = ""
        elif one.key_thumbprint == row.next_thumbprint:
            row.next_thumbprint = ""
        session.delete(one)
    return list(dict.fromkeys(one.device_id for one in found))


def _known_keys(row: DeviceAttestation) -> list[str]:
    return [one for one in (row.key_thumbprint, row.next_thumbprint) if one]


def _forget_chains(session: Session, row: DeviceAttestation, but: Sequence[str] = ()) -> None:
    """Forget what vouched for the device's keys and answers, *but* for these keys."""
    session.execute(
        delete(AttestedCertificate)
        .where(
            AttestedCertificate.device_id == row.device_id,
            AttestedCertificate.key_thumbprint.not_in(but),
        )
        .execution_options(synchronize_session=False)
    )


def _rest_on(
    session: Session, row: DeviceAttestation, chain: Sequence[str], thumbprint: str
) -> None:
    """Note the certificates above the leaf that vouch for a key, or for an answer."""
    for serial in set(serials(chain)[1:]):
        if len(serial) <= LONGEST_SERIAL:
            session.add(
                AttestedCertificate(
                    serial=serial, device_id=row.device_id, key_thumbprint=thumbprint
                )
            )


def _proved(
    session: Session, settings: Settings, chain: Sequence[str], challenge: bytes, now: datetime
) -> tuple[Proof | None, str]:
    counting = anchors(settings)
    try:
        listed = revoked_among(session, serials(chain))
        counting = replace(counting, revoked=counting.revoked | listed)
        proof = prove(chain, challenge, counting, now)
    except UnprovedError as error:
        return None, str(error)
    return proof, failing(proof.described, counting.boot_keys)


def _proved_now(
    session: Session, settings: Settings, chain: Sequence[str], challenge: bytes, now: datetime
) -> tuple[Proof | None, str]:
    """Check a chain that is sent only once, so that it must not be lost by our own fault."""
    try:
        return _proved(session, settings, chain, challenge, now)
    except ConfigurationError as error:
        raise UnavailableError(str(error)) from None


def _record(
    session: Session, device: Device, proof: Proof | None, because: str, now: datetime
) -> None:
    said = {FactKind.ATTESTATION: Fact(_verdict(because), ATTESTATION, now)}
    if proof is not None:
        said[FactKind.ATTESTED] = Fact(_attested(proof.described, now), ATTESTATION, now)
    record_facts(session, device.id, said, now)


def _fail(session: Session, device: Device, because: str, now: datetime) -> None:
    said = {FactKind.ATTESTATION: Fact(_verdict(because), ATTESTATION, now)}
    record_facts(session, device.id, said, now)


def _verdict(because: str) -> dict[str, object]:
    return {"passed": not because, "because": because}


def _attested(described: KeyDescription, now: datetime) -> dict[str, object]:
    root = described.root_of_trust
    return {
        "at": now.isoformat(),
        "hardware": described.attestation_level.name.lower(),
        "boot_state": root.boot_state.name.lower() if root else None,
        "locked": root.is_locked if root else None,
        "os_version": described.os_version,
        "patch_level": described.patch_level,
    }


def _rhythm(session: Session, settings: Settings, device: Device) -> timedelta:
    """Return how long a proof holds: shortly when the device has said something else since."""
    found = contradictions(get_facts(session, device.id))
    return _days(settings) if all(one.is_settled for one in found) else SOONEST


def _days(settings: Settings) -> timedelta:
    return timedelta(days=settings.attestation_days)


def _is_own(device: Device, key: ec.EllipticCurvePublicKey) -> bool:
    return key == keys.read_raw_public(device.signing_key)


def _thumbprint(device: Device) -> str:
    return keys.thumbprint(keys.read_public(device.signing_key))


def _text(challenge: bytes) -> str:
    return urlsafe_b64encode(challenge).decode().rstrip("=")
