"""Keeps the local list, and lets people prove who they are.

`prove` is where a directory comes in later: whoever enrols asks nothing else of this feature.
"""

from datetime import datetime
from secrets import token_urlsafe
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from management import passwords, readings
from management.administrators.rules import LONGEST_PASSWORD, normal_name, password_problem
from management.enrolment_users.models import EnrolmentUser, UserTry
from management.enrolment_users.queries import find_user, get_user
from management.enrolment_users.rules import FORGET_FAILURES_AFTER, Proven, name_hash, wait
from management.groups.queries import get_group
from management.limits import require_group, seeing_all
from runtime.errors import RefusedError

_PROBLEMS = {
    "short": "A password has at least 12 characters.",
    "long": "A password has at most 200 characters.",
    "simple": "This password is too simple.",
    "name": "The password must not contain the name.",
    "common": "This password is one of those that are tried first.",
}


def add_user(
    session: Session,
    name: str,
    person: str,
    address: str,
    group_id: UUID | None,
    password: str,
    by: str,
    now: datetime,
    reading: str = "",
) -> tuple[EnrolmentUser, str]:
    """Return a new user and the password: the one that was given, or else a fresh one."""
    normal, address = normal_name(name), address.strip()
    if not normal or len(normal) > 100 or any(c.isspace() for c in normal):
        raise RefusedError("A user name has 1 to 100 characters and no space.")
    if "@" not in address or len(address) > 254 or any(c.isspace() for c in address):
        raise RefusedError("A user needs a mail address: mail access follows it.")
    require_group(session, group_id)
    with seeing_all(session):
        taken = find_user(session, normal) is not None
    if taken:
        raise RefusedError("There is a user of this name already.")
    password = password or token_urlsafe(12)
    user = EnrolmentUser(
        name=normal,
        person=person.strip()[:255],
        reading=readings.clean(reading),
        sort_key=readings.sort_key(readings.clean(reading), person.strip(), normal),
        address=address,
        group_id=group_id and get_group(session, group_id).id,
        password_hash=_hashed(password, normal),
        created_at=now,
        created_by=by,
    )
    session.add(user)
    session.flush()
    return user, password


def set_reading(session: Session, user_id: UUID, reading: str) -> tuple[EnrolmentUser, str]:
    """Say how the user's name is read, in kana (empty: the name itself); return also what was."""
    user = get_user(session, user_id)
    before, user.reading = user.reading, readings.clean(reading)
    user.sort_key = readings.sort_key(user.reading, user.person, user.name)
    return user, before


def new_password(session: Session, user_id: UUID, password: str = "") -> tuple[EnrolmentUser, str]:
    """Give the user another password and end the wait; return both as `add_user` does."""
    user, password = get_user(session, user_id), password or token_urlsafe(12)
    user.password_hash = _hashed(password, user.name)
    session.execute(delete(UserTry).where(UserTry.name_hash == name_hash(user.name)))
    return user, password


def set_disabled(session: Session, user_id: UUID, disabled: bool, now: datetime) -> EnrolmentUser:
    """Let the user enrol no more devices, or again; devices that are enrolled stay."""
    user = get_user(session, user_id)
    user.disabled_at = (user.disabled_at or now) if disabled else None
    return user


def prove(session: Session, name: str, password: str, now: datetime) -> Proven | None:
    """Return who this is; None when name or password is wrong, or the name has to wait.

    Each wrong password in a row makes the name wait longer, also one that nobody has, and takes as
    long to check: an answer tells nothing about which names exist.
    """
    tries = session.get(UserTry, name_hash(name))
    if _waits(tries, now):
        return None
    user = _usable(session, name)
    matches = passwords.matches(user.password_hash if user else None, password[:LONGEST_PASSWORD])
    if user is None or not matches:
        _note_failure(session, tries, name, now)
        return None
    if tries is not None:
        session.delete(tries)
    return Proven(user.name, user.person, user.address, user.group_id)


def compare_ahead(
    session: Session, name: str, password: str, now: datetime, is_guess: bool = True
) -> None:
    """Do what is slow in `prove` before the transaction that asks it; or count it as wrong."""
    if not _waits(session.get(UserTry, name_hash(name)), now):
        user = _usable(session, name)
        act = passwords.compare_ahead if is_guess else passwords.count_as_wrong
        act(user.password_hash if user else None, password[:LONGEST_PASSWORD])


def _waits(tries: UserTry | None, now: datetime) -> bool:
    return tries is not None and tries.wait_until is not None and now < tries.wait_until


def _usable(session: Session, name: str) -> EnrolmentUser | None:
    user = find_user(session, name)
    return user if user is not None and user.disabled_at is None else None


def forget_tries(session: Session, now: datetime) -> None:
    """Forget wrong passwords of long ago."""
    session.execute(delete(UserTry).where(UserTry.last_at < now - FORGET_FAILURES_AFTER))


def _note_failure(session: Session, tries: UserTry | None, name: str, now: datetime) -> None:
    if tries is None:
        tries = UserTry(name_hash=name_hash(name), failures=0, last_at=now)
        session.add(tries)
    if tries.last_at + FORGET_FAILURES_AFTER < now:
        tries.failures = 0
    tries.failures, tries.last_at = tries.failures + 1, now
    tries.wait_until = now + wait(tries.failures)
    session.flush()


def _hashed(password: str, name: str) -> str:
    if problem := password_problem(password, name):
        raise RefusedError(_PROBLEMS[problem])
    return passwords.hashed(password)
