"""Makes enrolment keys, for one person or for many devices, and ends enrolments."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete
from sqlalchemy.orm import Session

from contracts.download import enrolment_link
from management.commands.models import Command
from management.commands.service import end_open
from management.compliance.service import rejudge
from management.devices import service as devices
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.directory.models import DirectoryAccount
from management.enrolment.mail_rules import LANGUAGES
from management.enrolment.models import ATTEMPTS, EnrolmentAttempt, Invitation
from management.enrolment.queries import find_by_key, get_invitation, refused_before, state_of
from management.enrolment.rules import (
    LONGEST,
    LONGEST_KEY,
    MOST_DEVICES,
    InvitationState,
    key_hash,
    new_key,
    preset_problem,
)
from management.groups.models import ROOT_GROUP
from management.groups.queries import get_group
from management.keys import Keys
from management.limits import seeing_all
from management.policies.queries import require_seen, usable_policy
from management.readings import clean
from management.relays.service import acknowledge, announce_device
from management.search.upkeep import drop
from runtime.errors import RefusedError


def invite(
    session: Session,
    keys: Keys,
    address: str,
    person: str,
    policy_id: UUID | None,
    valid_for: timedelta,
    by: str,
    now: datetime,
    group_id: UUID = ROOT_GROUP,
    most_devices: int | None = 1,
    asks_user: bool = False,
    reading: str = "",
    language: str = "",
) -> tuple[Invitation, str]:
    """Invite one person to enrol a device or some; return the invitation and its enrolment key.

    The device comes into the group; *policy_id* None: the policy of the group holds for it. Name
    and reading that are left out are those of the directory. *language* is that of the mail:
    ``en``, ``ja``, or empty for both.
    """
    if language not in LANGUAGES:
        raise RefusedError("Choose English, Japanese or both.")
    address = address.strip()
    if "@" not in address or len(address) > 254 or any(c.isspace() for c in address):
        raise RefusedError("An invitation needs the mail address of the person.")
    if not timedelta(0) < valid_for <= LONGEST:
        raise RefusedError(f"An invitation holds at most {LONGEST.days} days.")
    known = session.get(DirectoryAccount, address.lower())
    person, reading = person.strip() or (known.person if known else ""), clean(reading)
    made, key = _keep(
        session, keys, new_key(), address, person, policy_id, group_id, most_devices, asks_user,
        by, now, now + valid_for,
    )  # fmt: skip
    made.reading = reading or (known.reading if known else "")
    made.language = language
    return made, key


def make_key(
    session: Session,
    keys: Keys,
    purpose: str,
    preset: str,
    policy_id: UUID | None,
    expires_at: datetime,
    by: str,
    now: datetime,
    group_id: UUID = ROOT_GROUP,
    most_devices: int | None = None,
    asks_user: bool = False,
) -> tuple[Invitation, str]:
    """Make a key that is nobody's own, for many devices; *preset* empty: a fresh random one.

    RefusedError when the key could be guessed, is there already, or holds too long.
    """
    if not purpose.strip():
        raise RefusedError("Say what the key is for.")
    if not now < expires_at <= now + LONGEST_KEY:
        raise RefusedError("Choose an end date from tomorrow to three years ahead.")
    key = preset.strip().upper() or new_key()
    if why := preset_problem(key):
        raise RefusedError(why)
    with seeing_all(session):
        used = find_by_key(session, key) is not None
    if used:
        raise RefusedError("This key was used before. Choose another one.")
    return _keep(
        session, keys, key, "", purpose, policy_id, group_id, most_devices, asks_user,
        by, now, expires_at,
    )  # fmt: skip


def _seen_policy(session: Session, policy_id: UUID) -> UUID:
    require_seen(session, policy_id)
    return usable_policy(session, policy_id).id


def _keep(
    session: Session,
    keys: Keys,
    key: str,
    address: str,
    person: str,
    policy_id: UUID | None,
    group_id: UUID,
    most_devices: int | None,
    asks_user: bool,
    by: str,
    now: datetime,
    expires_at: datetime,
) -> tuple[Invitation, str]:
    if most_devices is not None and not 1 <= most_devices <= MOST_DEVICES:
        raise RefusedError("A key lets in at least one device, and at most a million.")
    invitation = Invitation(
        id=uuid4(),
        address=address,
        person=person.strip()[:255],
        most_devices=most_devices,
        devices=0,
        asks_user=asks_user,
        group_id=get_group(session, group_id).id,
        policy_id=policy_id and _seen_policy(session, policy_id),
        key_hash=key_hash(key),
        key_sealed=keys.seal(key),
        created_at=now,
        created_by=by,
        expires_at=expires_at,
    )
    session.add(invitation)
    session.flush()
    return invitation, key


def shown_key(keys: Keys, invitation: Invitation, now: datetime) -> str:
    """Return the enrolment key of an active invitation; RefusedError when it opens nothing."""
    if (state := state_of(invitation, now)) is not InvitationState.ACTIVE:
        raise RefusedError(f"The enrolment key is {state}; it opens nothing any more.")
    return keys.unseal(invitation.key_sealed)


def cancel_invitation(session: Session, invitation_id: UUID, now: datetime) -> Invitation:
    """Let the enrolment key open nothing any more; RefusedError when it is used up already."""
    invitation = get_invitation(session, invitation_id)
    if invitation.used_at is not None:
        raise RefusedError("The key was used; retire the device instead.")
    invitation.cancelled_at = invitation.cancelled_at or now
    return invitation


def qr_content(invitation_key: str, relay_url: str, fingerprint: str) -> str:
    """Return the text of the QR code and link: where to enrol, with which key, whom to trust."""
    return enrolment_link(relay_url, invitation_key, fingerprint)


def end_enrolment(
    session: Session,
    device: Device,
    state: EnrolmentState,
    by: str,
    because: str,
    now: datetime,
    wipes_wait: bool = False,
) -> list[Command]:
    """Let the device be ours no longer: its mailbox closes, its orders end, its history stays.

    With *wipes_wait* it left by itself: open wipes stay open, wait for its return and are returned.
    RefusedError when it left before.
    """
    if device.enrolment_state != EnrolmentState.ENROLLED:
        raise RefusedError(f"The device is {device.enrolment_state} already.")
    devices.end_enrolment(session, device, state, by, now)
    acknowledge(session, device.id, device.epoch + 1, 0, now)
    words = f"The device is {state.value}. {because}".strip()
    waiting = end_open(session, device, words, now, wipes_wait)
    announce_device(session, device.id, now)
    rejudge(session, [device.id], now)
    return waiting


def retire(session: Session, device_id: UUID, by: str, because: str, now: datetime) -> Device:
    """End the management of a device, as an administrator decides."""
    device = lock_device(session, device_id)
    end_enrolment(session, device, EnrolmentState.RETIRED, by, because, now)
    return device


def forget_refused(session: Session, before: datetime) -> int:
    """Delete some enrolments that came to nothing older than *before*; return how many."""
    found = refused_before(session, before)
    drop(session, ATTEMPTS, found)
    session.execute(delete(EnrolmentAttempt).where(EnrolmentAttempt.enrolment_id.in_(found)))
    return len(found)
