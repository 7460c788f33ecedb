"""How a simulated device gets other keys and a fresh certificate. No I/O.

Its present keys prove the request. The new ones lie beside them until management answers; the
former ones stay, to read what was sealed before, to enter relays that were not told yet, and to go
back to when management was restored from a backup.
"""

from datetime import datetime, timedelta
from uuid import uuid4

from cryptography import x509

from agents.simulator.attesting import attest_for
from agents.simulator.state import DeviceState, KnownRenewal, Membership
from contracts import codec, envelope, keys
from contracts.agent import KeyProof, Renewal, RenewalRefused, Renewed
from contracts.attestation import renewal_challenge

LEFT = 1 / 3
"""A certificate is renewed when so much of its life is left."""
ASK_AGAIN = timedelta(days=1)


def renew_at(certificate: str) -> datetime:
    """Return when to renew a certificate (PEM)."""
    read = x509.load_pem_x509_certificate(certificate.encode())
    until, since = read.not_valid_after_utc, read.not_valid_before_utc
    return until - (until - since) * LEFT


def is_due(state: DeviceState, now: datetime) -> bool:
    """Tell whether to begin a renewal, by management's time."""
    member = state.membership
    known = member is not None and member.renew_at is not None and now >= member.renew_at
    return known and state.renewal is None


def begin(state: DeviceState, now: datetime, new_keys: bool = True) -> None:
    """Ask for a certificate in the next report, for fresh keys or for the present ones.

    Asking again replaces what was asked before: its answer will be of no use.
    """
    fresh = KnownRenewal(
        id=uuid4(),
        signing_key=keys.private_json(keys.new_key()) if new_keys else state.signing_key,
        encryption_key=keys.private_json(keys.new_key()) if new_keys else state.encryption_key,
    )
    state.renewal = fresh
    _say(state, state.member(), fresh)
    state.note(now, f"{'New keys' if new_keys else 'A fresh certificate'} asked for.")


def _say(state: DeviceState, member: Membership, renewal: KnownRenewal) -> None:
    signer = keys.read_private(renewal.signing_key)
    proof = KeyProof(
        device_id=member.device_id,
        renewal_id=renewal.id,
        former_thumbprint=keys.thumbprint(keys.read_private(state.signing_key)),
        signing_key=keys.public_jwk(signer),
        encryption_key=keys.public_jwk(keys.read_private(renewal.encryption_key)),
    )
    token = envelope.sign(codec.write(proof), envelope.RENEWAL, signer)
    challenge = renewal_challenge(member.device_id, renewal.id)
    is_new = renewal.signing_key != state.signing_key
    chain = attest_for(state.phone, keys.raw_public(signer), challenge) if is_new else ()
    others = [item for item in state.pending if not isinstance(item, Renewal)]
    state.pending = [*others, Renewal(renewal_id=renewal.id, proof=token, attestation=chain)]


def take_answer(state: DeviceState, member: Membership, said: Renewed, now: datetime) -> None:
    """Use the keys and the certificate of the renewal under way from now on, and report soon."""
    asked = state.renewal
    if asked is None or asked.id != said.renewal_id:
        state.note(now, "An answer came to a renewal that this device no longer wants.")
        return
    if not _is_for(said.certificate, asked.signing_key):
        _give_up(state, member, "The certificate is for another key.", now)
        return
    state.renewal = None
    if asked.signing_key != state.signing_key:
        state.former_signing_key = state.signing_key
        state.former_encryption_key = state.encryption_key
        state.signing_key, state.encryption_key = asked.signing_key, asked.encryption_key
    member.certificate, member.ca_certificate = said.certificate, said.ca_certificate
    member.renew_at = renew_at(said.certificate)
    state.reported_at = None
    state.note(now, f"Keys and certificate renewed; the next time is {member.renew_at:%Y-%m-%d}.")


def take_refusal(
    state: DeviceState, member: Membership, said: RenewalRefused, now: datetime
) -> None:
    """Go on with the present keys."""
    if state.renewal is not None and state.renewal.id == said.renewal_id:
        _give_up(state, member, said.reason, now)


def _give_up(state: DeviceState, member: Membership, why: str, now: datetime) -> None:
    state.renewal, member.renew_at = None, now + ASK_AGAIN
    state.note(now, f"The renewal came to nothing: {why}")


def in_new_epoch(state: DeviceState, member: Membership, now: datetime) -> None:
    """Follow the certificate with which management began an epoch.

    One for the former key means that management knows the present one no longer (it was restored
    from a backup, or never heard of it): back to the former, and renew anew. A renewal that it had
    not answered is asked for once more.
    """
    member.renew_at = renew_at(member.certificate)
    if state.former_signing_key and _is_for(member.certificate, state.former_signing_key):
        state.signing_key, state.former_signing_key = state.former_signing_key, state.signing_key
        boxes = state.former_encryption_key, state.encryption_key
        state.encryption_key, state.former_encryption_key = boxes
        state.renewal, member.renew_at = None, now
        state.note(now, "Management knows the former keys only; they are used again.")
    if state.renewal is not None:
        _say(state, member, state.renewal)


def _is_for(certificate: str, signing_key: str) -> bool:
    try:
        read = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        return False
    return read.public_key() == keys.raw_public(keys.read_private(signing_key))
