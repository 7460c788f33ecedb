from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from contracts.enrolment_key import ALPHABET, plain
from management.context import Context
from management.enrolment import queries, service
from management.enrolment.rules import (
    InvitationState,
    invitation_state,
    key_hash,
    new_key,
    refusal,
)
from management.policies.service import ensure_default_policy
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError
from tests.management.fleets import START

WEEK = timedelta(days=7)
instants = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31))


def test_a_key_has_140_random_bits_in_groups_that_people_can_type() -> None:
    made = {new_key() for _ in range(200)}

    assert len(made) == 200
    for key in made:
        assert [len(group) for group in key.split("-")] == [4] * 7
        assert set(plain(key)) <= set(ALPHABET)


@given(st.randoms(use_true_random=False))
def test_a_key_typed_in_any_way_is_the_same_key(random: object) -> None:
    key = new_key()
    typed = key.lower().replace("-", " ").replace("0", "o").replace("1", "l")

    assert key_hash(typed) == key_hash(key)
    assert key_hash(key[:-1]) != key_hash(key)


@given(instants, st.none() | instants, st.none() | instants, instants)
def test_an_invitation_opens_only_while_it_is_active(
    expires: datetime, used: datetime | None, cancelled: datetime | None, now: datetime
) -> None:
    state = invitation_state(expires, used, cancelled, now)

    assert (state is InvitationState.ACTIVE) == (not used and not cancelled and now < expires)
    assert (refusal(state) == "") == (state is InvitationState.ACTIVE)
    if used is not None:
        assert state is InvitationState.USED


def test_the_key_is_stored_as_hash_and_sealed_only(context: Context) -> None:
    with context.database.transaction("invite") as session:
        policy = ensure_default_policy(session, START)
        invitation, key = service.invite(
            session, context.keys, " ada@example.com ", "Ada", policy.id, WEEK, "keeper", utc_now()
        )
        columns = [str(getattr(invitation, column.name)) for column in invitation.__table__.columns]

    assert not any(key in text or plain(key) in text for text in columns)
    assert service.shown_key(context.keys, invitation, utc_now()) == key
    assert invitation.address == "ada@example.com"


def test_the_qr_code_holds_address_key_and_fingerprint() -> None:
    text = service.qr_content("AAAA-BBBB", "https://mdm.example:4343", "f" * 43)

    parts = urlsplit(text)
    assert (parts.scheme, parts.netloc) == ("sekisho", "enrol")
    assert parse_qs(parts.query) == {
        "relay": ["https://mdm.example:4343"],
        "key": ["AAAA-BBBB"],
        "fp": ["f" * 43],
    }


@pytest.mark.parametrize(
    ("address", "days"), [("", 7), ("nobody", 7), ("a @b", 7), ("a@b", 0), ("a@b", 91)]
)
def test_a_wrong_invitation_is_refused(context: Context, address: str, days: int) -> None:
    with context.database.transaction("invite") as session:
        policy = ensure_default_policy(session, START)
        with pytest.raises(RefusedError):
            service.invite(
                session,
                context.keys,
                address,
                "",
                policy.id,
                timedelta(days=days),
                "keeper",
                utc_now(),
            )


def test_invitations_are_listed_counted_and_cancelled_by_state(context: Context) -> None:
    now = utc_now()
    with context.database.transaction("invite") as session:
        policy = ensure_default_policy(session, START)
        made = [
            service.invite(
                session,
                context.keys,
                f"p{number}@example.com",
                "",
                policy.id,
                WEEK,
                "keeper",
                now - timedelta(days=2 * number),
            )[0]
            for number in range(5)
        ]
        service.cancel_invitation(session, made[0].id, now)
        counted = queries.count_invitations(session, now)
        found = []
        after = None
        while page := queries.list_invitations(session, now, after=after, limit=2):
            found += [invitation.id for invitation in page]
            after = queries.Cursor(page[-1].created_at, page[-1].id)
        expired = queries.list_invitations(session, now, InvitationState.EXPIRED)

    assert counted == {"active": 3, "expired": 1, "used": 0, "cancelled": 1}
    assert found == [invitation.id for invitation in made]
    assert [invitation.id for invitation in expired] == [made[4].id]
    with pytest.raises(RefusedError, match="cancelled"):
        service.shown_key(context.keys, made[0], now)


def test_an_unknown_invitation_is_not_found(session: Session) -> None:

    with pytest.raises(NotFoundError):
        queries.get_invitation(session, uuid4())
