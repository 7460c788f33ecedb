"""Lists that are searched by words: phones at mail servers, invitations, enrolments that failed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import Connection, delete, event, func, insert, select, text
from sqlalchemy.orm import Session

from management.access import Role
from management.context import Context
from management.enrolment.models import (
    ATTEMPTS,
    INVITATIONS,
    EnrolmentAttempt,
    EnrolmentAttemptToken,
    Invitation,
    InvitationToken,
)
from management.enrolment.queries import list_invitations
from management.enrolment.registrations import is_cut, list_awaited, list_failed
from management.enrolment.rules import InvitationState
from management.enrolment.service import forget_refused
from management.limits import LIMIT, Limit
from management.listing import plan
from management.mail_access import listing
from management.mail_access.listing import Filter
from management.mail_access.models import PARTNERSHIPS, Connector, Partnership, PartnershipToken
from management.search import queries as searching
from management.search.work import check
from runtime.clock import utc_now
from tests.management.clients import api_client

PEOPLE = (
    ("ada@example.com", "田中 花子", "たなか はなこ"),
    ("bob@example.com", "Bob O'Neill", ""),
    ("carol@mail.example.org", "山田太郎", "やまだ たろう"),
)


def _invitation(address: str, person: str, reading: str) -> Invitation:
    now = utc_now()
    return Invitation(
        address=address, person=person, reading=reading, key_hash=uuid4().hex, key_sealed="",
        created_at=now, created_by="keeper", expires_at=now + timedelta(days=7),
    )  # fmt: skip


def _attempt(because: str, described: str, invitation_id: UUID | None) -> EnrolmentAttempt:
    return EnrolmentAttempt(
        enrolment_id=uuid4(), at=utc_now(), signing_key_thumbprint="x", refused_because=because,
        described=described, invitation_id=invitation_id,
    )  # fmt: skip


def _partnership(connector_id: UUID, mailbox: str, address: str, number: str) -> Partnership:
    now = utc_now()
    return Partnership(
        connector_id=connector_id, mailbox=mailbox, user_address=address, device_model="Pixel 9",
        exchange_device_id=number, access_state="Allowed", pass_id=uuid4(), first_seen_at=now,
        seen_at=now, grace_key=address, wanted_since=now,
    )  # fmt: skip


@pytest.fixture
def filled(context: Context) -> Context:
    """Three invited people, of whom one failed to enrol, and their phones at a mail server."""
    with context.database.transaction("fill") as session:
        connector = Connector(name="mail", key={}, paired_at=utc_now())
        keys = [_invitation(*person) for person in PEOPLE]
        session.add_all([connector, *keys])
        session.flush()
        session.add(_attempt("The key has expired.", "Pixel R58N123", keys[0].id))
        session.add(_attempt("", "Pixel GRANTED1", keys[1].id))
        for number, (address, person, _) in enumerate(PEOPLE):
            mailbox = f"corp/Users/{person}"
            device = f"ApplDNQ00{number}F1C"
            session.add(_partnership(connector.id, mailbox, address, device))
    return context


def _mailboxes(context: Context, words: str, **more: Any) -> list[str]:
    with context.database.reading() as session:
        rows, last = listing.look(session, Filter(text=words, **more), limit=50)
        assert last is None
    return [row.user_address.partition("@")[0] for row, _name in rows]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ada", ["ada"]),
        ("ADA@EXAMPLE", ["ada"]),
        ("花子", ["ada"]),
        ("田", ["ada", "carol"]),
        ("o'neill", ["bob"]),
        ("neill", ["bob"]),
        ("example", ["ada", "bob", "carol"]),
        ("example pixel org", ["carol"]),
        ("ApplDNQ001", ["bob"]),
        ("1F1C", ["bob"]),
        ("nobody", []),
        ("%", []),
        ("_da", []),
        ("()", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_phones_at_the_mail_server_are_found_by_words(
    filled: Context, words: str, found: list[str]
) -> None:
    assert _mailboxes(filled, words) == found


def test_words_and_filters_go_together(filled: Context) -> None:
    assert _mailboxes(filled, "example", wanted="block") == []
    assert _mailboxes(filled, "example", wanted="leave") == ["ada", "bob", "carol"]


def _awaited(session: Session, words: str) -> set[str]:
    return {one.address.partition("@")[0] for one in list_awaited(session, words)}


def test_the_invited_are_found_by_name_address_and_reading(filled: Context) -> None:
    with filled.database.reading() as session:
        assert _awaited(session, "はな") == {"ada"}
        assert _awaited(session, "太郎") == {"carol"}
        assert _awaited(session, "やまだ example") == {"carol"}
        assert _awaited(session, "") == {"ada", "bob", "carol"}
        assert [one.person for one in list_invitations(session, utc_now(), None, "bob")] == [
            "Bob O'Neill"
        ]


def test_a_failed_enrolment_is_found_by_device_person_and_reason(filled: Context) -> None:
    with filled.database.reading() as session:
        for words in ("R58N123", "N123", "花子", "expired", "pixel ada"):
            assert [one.device for one in list_failed(session, words)] == ["Pixel R58N123"], words
        for words in ("GRANTED1", "bob", "zoe"):
            assert list_failed(session, words) == [], words


def test_the_api_searches_so_too(filled: Context, app: Flask) -> None:
    api = api_client(app, filled, "program", Role.READ_ONLY)

    phones = api.get("/api/v1/mail-access/partnerships?text=花子").get_json()
    awaited = api.get("/api/v1/registrations?which=awaited&text=太郎").get_json()
    failed = api.get("/api/v1/registrations?which=failed&text=r58").get_json()

    assert [one["user_address"] for one in phones["items"]] == ["ada@example.com"]
    assert [one["address"] for one in awaited["items"]] == ["carol@mail.example.org"]
    assert awaited["cut"] is False
    assert [one["device"] for one in failed["items"]] == ["Pixel R58N123"]


def test_pages_of_a_driven_search_follow_each_other(filled: Context, app: Flask) -> None:
    api = api_client(app, filled, "program", Role.READ_ONLY)
    address: str | None = "/api/v1/mail-access/partnerships?text=example&limit=1"
    seen: list[str] = []
    while address:
        page = api.get(address).get_json()
        seen += [one["user_address"] for one in page["items"]]
        more = page["next"]
        address = f"/api/v1/mail-access/partnerships?text=example&limit=1&after={more}"
        address = address if more else None

    assert seen == [address for address, _, _ in PEOPLE]


def _tokens(context: Context, token: Any) -> int:
    with context.database.reading() as session:
        return session.scalar(select(func.count()).select_from(token)) or 0


def test_words_follow_what_changes_and_go_with_what_goes(filled: Context) -> None:
    with filled.database.transaction("rename") as session:
        row = session.scalars(
            select(Partnership).where(Partnership.user_address.like("bob%"))
        ).one()
        row.mailbox, row.user_address = "corp/Users/Robert", "robert@example.com"
        key = session.scalars(select(Invitation).where(Invitation.person == "Bob O'Neill")).one()
        key.person = "Robert"
    assert _mailboxes(filled, "bob") == []
    assert _mailboxes(filled, "robert") == ["robert"]
    with filled.database.reading() as session:
        assert _awaited(session, "neill") == set()

    with filled.database.transaction("forget") as session:
        assert forget_refused(session, utc_now() + timedelta(days=1)) == 2
    assert _tokens(filled, EnrolmentAttemptToken) == 0


def test_a_transaction_that_is_taken_back_leaves_no_words(filled: Context) -> None:
    before = _tokens(filled, InvitationToken)
    with pytest.raises(RuntimeError), filled.database.transaction("fail") as session:
        session.add(_invitation("zoe@example.com", "Zoe", ""))
        session.flush()
        raise RuntimeError
    assert _tokens(filled, InvitationToken) == before


def test_rows_of_an_earlier_release_get_their_words_and_lost_ones_go(filled: Context) -> None:
    whole = [_tokens(filled, one.token) for one in (PARTNERSHIPS, INVITATIONS, ATTEMPTS)]
    with filled.database.transaction("upgrade") as session:
        session.execute(delete(PartnershipToken))
        session.execute(delete(InvitationToken))
        session.execute(insert(InvitationToken), [{"token": "lost", "row_id": uuid4()}])
    assert _mailboxes(filled, "ada") == []

    said: list[str] = []
    check(filled, {}, said.append)

    assert [_tokens(filled, one.token) for one in (PARTNERSHIPS, INVITATIONS, ATTEMPTS)] == whole
    assert _mailboxes(filled, "ada") == ["ada"]
    assert said[-1] == "8 rows looked at, 6 had other words."
    check(filled, {}, said.append)
    assert said[-1] == "8 rows looked at, 0 had other words."


# --- how it is read ---


@pytest.fixture
def many(filled: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The same, where two rows are many already."""
    monkeypatch.setattr(searching, "FEW", 2)
    monkeypatch.setattr(searching, "CHUNK", 1)
    return filled


def test_words_that_nearly_all_have_are_read_in_the_order_of_the_list(many: Context) -> None:
    assert _mailboxes(many, "example pixel") == ["ada", "bob", "carol"]
    assert _mailboxes(many, "example pixel 花子") == ["ada"]
    with many.database.reading() as session:
        assert _awaited(session, "example") == {"ada", "bob", "carol"}
        assert _awaited(session, "example 花子") == {"ada"}
        assert not is_cut(session, "awaited", "example")


@pytest.mark.parametrize("address", [person[0] for person in PEOPLE])
def test_words_that_nearly_all_have_hide_no_row_that_the_filter_means(
    many: Context, address: str
) -> None:
    """Whichever it is: state, group and order count before how many have the word."""
    own, now = uuid4(), utc_now()
    with many.database.transaction("test") as session:
        row = session.scalars(select(Invitation).where(Invitation.address == address)).one()
        row.group_id, row.cancelled_at = own, now
    with many.database.reading() as session:
        found = list_invitations(session, now, InvitationState.CANCELLED, "example")
        assert [one.address for one in found] == [address]
        assert len(list_invitations(session, now, InvitationState.ACTIVE, "example")) == 2
        newest = [one.id for one in list_invitations(session, now)]
        assert [one.id for one in list_invitations(session, now, text="example")] == newest
        first = list_invitations(session, now, text="example", limit=1)
        assert [one.id for one in first] == newest[:1]
    with many.database.reading() as session:
        session.info[LIMIT] = Limit(frozenset({own}), "aoi", reads_only=True)
        assert [one.address for one in list_invitations(session, now, text="example")] == [address]


@contextmanager
def statements(session: Session) -> Iterator[list[tuple[str, Any]]]:
    found: list[tuple[str, Any]] = []

    def note(_c: Connection, _u: Any, said: str, given: Any, _x: Any, _many: bool) -> None:
        found.append((said, given))

    event.listen(session.get_bind(), "before_cursor_execute", note)
    yield found
    event.remove(session.get_bind(), "before_cursor_execute", note)


def read_whole(session: Session, statements: Sequence[tuple[str, Any]]) -> list[str]:
    """Return which tables a statement would read from one end to the other."""
    connection = session.connection()
    found = []
    if connection.dialect.name == "postgresql":
        session.execute(text("SET LOCAL enable_seqscan = off"))  # few rows are read so gladly
    for said, given in statements:
        words = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        lines = [str(tuple(row)) for row in connection.exec_driver_sql(words + said, given)]
        found += [line for line in lines if "Seq Scan" in line]
        found += [line for line in lines if "SCAN" in line and "INDEX" not in line]
    counted = ("anon_", "SUBQUERY", "subquery", "CONSTANT")  # what is counted has an end
    return [line for line in found if not any(word in line for word in counted)]


SEARCHES: dict[str, Callable[[Session], object]] = {
    "phones": lambda session: listing.look(session, Filter(text="ada 花子")),
    "phones of all": lambda session: listing.look(session, Filter(text="example pixel")),
    "awaited": lambda session: list_awaited(session, "ada 花子"),
    "failed": lambda session: list_failed(session, "r58 花子"),
    "invitations": lambda session: list_invitations(session, utc_now(), None, "ada 花子"),
    "invitations of all": lambda session: list_invitations(session, utc_now(), None, "example"),
    "failed of all": lambda session: list_failed(session, "pixel"),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_no_search_reads_a_table_from_end_to_end(many: Context, name: str) -> None:
    assert plan.FEW <= 5_000 and plan.CUT <= plan.FEW
    with many.database.reading() as session:
        with statements(session) as found:
            SEARCHES[name](session)
        searched = [one for one in found if "_token" in one[0]]
        assert searched, "the tokens are asked"
        assert not [said for said, _ in found if "LIKE" in said.upper()]
        assert read_whole(session, found) == []
