"""What becomes of requests to enrol: keys for many, users, the allow-list, terms of use."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts import codec, envelope, keys
from contracts.agent import (
    AskTerms,
    DeviceDescription,
    Enrolled,
    EnrolmentRefused,
    EnrolmentRequest,
    TermsAnswer,
)
from contracts.link import Inbound
from management import passwords
from management.allow_list import service as allow_list
from management.allow_list.rules import Identifiers, Unlisted, told
from management.check_in.passwords_ahead import compare_ahead
from management.context import Context
from management.enrolment import queries, service
from management.enrolment.rules import InvitationState
from management.enrolment.work import forget
from management.enrolment_users import service as users
from management.enrolment_users.models import UserTry
from management.enrolment_users.queries import find_user
from management.enrolment_users.rules import WRONG
from management.groups.models import ROOT_GROUP, UNAUTHORIZED_GROUP
from management.groups.service import create_group
from management.terms import queries as terms_queries
from management.terms import service as terms
from management.terms import work as terms_work
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management.phones import Office, Phone, office

PASSWORD = "the third boat is late"
IMEI = "490154203237518"


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@dataclass
class Asker(Phone):
    """A phone that also says user, password and accepted terms."""

    user: tuple[str, str] = ("", "")
    accepted: int | None = None

    def asking(self, key: str, **described: Any) -> Inbound:
        """Return a request to enrol with a fresh id."""
        self.enrolment_id = UUID(int=self.enrolment_id.int ^ (1 << (self.office.inbound % 100)))
        asked = EnrolmentRequest(
            enrolment_id=self.enrolment_id,
            aud="management",
            sent_at=utc_now(),
            enrolment_key=key,
            user_name=self.user[0],
            user_password=self.user[1],
            signing_key=keys.public_jwk(self.signing_key),
            encryption_key=keys.public_jwk(self.encryption_key),
            device=replace(DeviceDescription(platform="android", model="Pixel"), **described),
            accepted_terms=self.accepted,
        )
        sealed = self.seal(codec.write(asked), envelope.ENROLMENT)
        return self.office.inbound_item("enrolment", self.enrolment_id, sealed)

    def ask(self, key: str, **described: Any) -> Any:
        """Ask to enrol and return the body of the answer."""
        self.office.take(self.asking(key, **described))
        body = self.answer().body
        if isinstance(body, Enrolled):
            self.device_id, self.epoch = body.device_id, self.answer().epoch
            self.policy, self.seq, self.ack = body.policy, 0, 1
        return body


def _key(desk: Office, preset: str = "", **how: Any) -> str:
    with desk.context.database.transaction("make a key") as session:
        ends = utc_now() + timedelta(days=400)
        return service.make_key(
            session, desk.context.keys, "shops", preset, None, ends, "keeper", utc_now(), **how
        )[1]


def _user(desk: Office, name: str = "yui", group: UUID | None = None) -> None:
    with desk.context.database.transaction("add a user") as session:
        users.add_user(
            session, name, "Yui", f"{name}@example.jp", group, PASSWORD, "keeper", utc_now()
        )


# --- keys ---


def test_a_key_for_three_devices_lets_in_three_and_is_used_up(desk: Office) -> None:
    key = _key(desk, most_devices=3)
    first = Asker(desk)

    assert isinstance(first.ask(key), Enrolled)
    assert isinstance(first.ask(key), Enrolled), "the same device again counts once"
    assert isinstance(Asker(desk).ask(key), Enrolled)
    assert isinstance(Asker(desk).ask(key), Enrolled)
    refused = Asker(desk).ask(key)

    assert isinstance(refused, EnrolmentRefused)
    assert "used up" in refused.reason
    with desk.context.database.reading() as session:
        invitation = queries.find_by_key(session, key)
        assert invitation is not None
        assert invitation.devices == 3
        assert queries.state_of(invitation, utc_now()) is InvitationState.USED


def test_a_preset_key_is_typed_as_chosen_and_belongs_to_nobody(desk: Office) -> None:
    key = _key(desk, "shinagawa-2026-kiosk")
    phone = Asker(desk)

    assert isinstance(phone.ask("SHINAGAWA 2026 KIOSK"), Enrolled)
    assert key == "SHINAGAWA-2026-KIOSK"
    with desk.context.database.reading() as session:
        row = phone.row(session)
        assert (row.owner_address, row.name) == ("", "Pixel")


def test_a_key_of_nobody_leaves_a_device_to_its_owner(desk: Office) -> None:
    phone = Asker(desk)
    phone.ask(desk.invite("ada@example.com"))
    phone.ask(_key(desk))

    with desk.context.database.reading() as session:
        row = phone.row(session)
        assert (row.owner_address, row.epoch) == ("ada@example.com", 2)


@pytest.mark.parametrize(
    ("preset", "why"),
    [
        ("SHORT-KEY-1", "16 to 64"),
        ("A" * 20, "easy to guess"),
        ("ABCDEFGHIJKLMNOP!", "letters A to Z"),
        ("日本語日本語日本語日本語日本語日本", "letters A to Z"),
        ("-ABCDEFGH-IJKLMNOPQR", "letters A to Z"),
    ],
    ids=["short", "simple", "sign", "kanji", "hyphen"],
)
def test_a_key_that_could_be_guessed_is_refused(desk: Office, preset: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        _key(desk, preset)


def test_the_same_preset_key_cannot_come_back(desk: Office) -> None:
    _key(desk, "SHINAGAWA-2026-KIOSK")

    with pytest.raises(RefusedError, match="used before"):
        _key(desk, "shinagawa2026kiosk")


def test_a_key_with_an_end_date_expires(desk: Office) -> None:
    key = _key(desk)
    with desk.context.database.transaction("let time pass") as session:
        found = queries.find_by_key(session, key)
        assert found is not None
        found.expires_at = utc_now() - timedelta(seconds=1)

    assert "expired" in Asker(desk).ask(key).reason


# --- users ---


def test_name_and_password_say_whose_the_device_is(desk: Office) -> None:
    with desk.context.database.transaction("make a group") as session:
        group = create_group(session, "Osaka", ROOT_GROUP).id
    _user(desk, "yui", group)
    phone = Asker(desk, user=(" YUI ", PASSWORD))

    assert isinstance(phone.ask(_key(desk, asks_user=True)), Enrolled)
    with desk.context.database.reading() as session:
        row = phone.row(session)
        assert (row.owner_address, row.owner_name, row.group_id) == ("yui@example.jp", "Yui", group)


def test_wrong_name_and_wrong_password_are_answered_alike(desk: Office) -> None:
    _user(desk)
    key = _key(desk, asks_user=True)

    answers = {
        Asker(desk, user=user).ask(key).reason
        for user in (("yui", "no"), ("nobody", PASSWORD), ("nobody", ""))
    }

    assert answers == {WRONG}
    assert "user name and password" in Asker(desk).ask(key).reason


def test_each_wrong_password_makes_the_name_wait_longer(desk: Office) -> None:
    _user(desk)
    waits = []
    with desk.context.database.transaction("try") as session:
        at = utc_now()
        for _ in range(6):
            assert users.prove(session, "yui", "wrong", at) is None
            until = session.query(UserTry).one().wait_until
            assert until is not None
            waits.append(until - at)
            if until > at:
                early = until - timedelta.resolution
                assert users.prove(session, "yui", PASSWORD, early) is None
            at = until

        assert waits == sorted(waits)
        assert waits[-1] > waits[2] > timedelta()
        assert users.prove(session, "yui", PASSWORD, at) is not None
        assert session.query(UserTry).count() == 0


def test_a_name_that_nobody_has_waits_too(desk: Office) -> None:
    with desk.context.database.transaction("try") as session:
        for _ in range(4):
            users.prove(session, "nobody", "wrong", utc_now())
        tries = session.query(UserTry).one()

        assert tries.wait_until is not None
        assert tries.wait_until > utc_now()
        assert "nobody" not in tries.name_hash

    with desk.context.database.transaction("much later") as session:
        session.query(UserTry).one().last_at = utc_now() - timedelta(days=2)
    forget(desk.context, {}, lambda said: None)
    with desk.context.database.reading() as session:
        assert session.query(UserTry).count() == 0


@pytest.mark.parametrize(("name", "enrolled"), [("yui", True), ("nobody", False)])
def test_passwords_are_compared_before_the_transaction_that_others_wait_for(
    desk: Office, monkeypatch: pytest.MonkeyPatch, name: str, enrolled: bool
) -> None:
    _user(desk)
    phone = Asker(desk, user=(name, PASSWORD))
    item = phone.asking(_key(desk, asks_user=True))
    compare_ahead(desk.context, [item], utc_now())

    monkeypatch.setattr(passwords, "_compare", lambda *_: pytest.fail("compared inside"))
    desk.take(item)

    assert isinstance(phone.answer().body, Enrolled) is enrolled


def test_of_each_name_one_password_is_compared_at_a_time(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    _user(desk)
    key, compared = _key(desk, asks_user=True), []
    said = [PASSWORD, "guess 1", PASSWORD, "guess 2", "guess 3", "guess 4"]
    phones = [Asker(desk, user=(("yui", " YUI ")[n % 2], one)) for n, one in enumerate(said)]
    items = [phone.asking(key) for phone in phones]
    compare = passwords._compare

    def counting(stored: str | None, password: str) -> bool:
        compared.append(password)
        return compare(stored, password)

    monkeypatch.setattr(passwords, "_compare", counting)
    compare_ahead(desk.context, items, utc_now())
    desk.take(*items)

    assert compared == [PASSWORD]
    bodies = [phone.answer().body for phone in phones]
    assert [isinstance(body, Enrolled) for body in bodies] == [True, False, True, *[False] * 3]
    late = Asker(desk, user=("yui", "guess 4"))
    later = utc_now() + timedelta(days=2)
    compare_ahead(desk.context, [late.asking(key)], later)
    assert compared == [PASSWORD, "guess 4"], "a guess that did not count is compared when it comes"


def test_a_disabled_user_enrols_nothing(desk: Office) -> None:
    _user(desk)
    with desk.context.database.transaction("disable") as session:
        user = find_user(session, "yui")
        assert user is not None
        users.set_disabled(session, user.id, True, utc_now())

    assert Asker(desk, user=("yui", PASSWORD)).ask(_key(desk, asks_user=True)).reason == WRONG


def test_another_person_does_not_use_an_invitation(desk: Office) -> None:
    _user(desk)
    with desk.context.database.transaction("invite") as session:
        _, key = service.invite(
            session, desk.context.keys, "ada@example.com", "", None, timedelta(days=1), "keeper",
            utc_now(), asks_user=True,
        )  # fmt: skip

    assert "another person" in Asker(desk, user=("yui", PASSWORD)).ask(key).reason


# --- allow-list ---


def _list(desk: Office, unlisted: Unlisted, one: Identifiers) -> None:
    with desk.context.database.transaction("list") as session:
        allow_list.add(session, one, "", "keeper", utc_now())
        allow_list.choose(session, unlisted, "keeper", utc_now())


def test_a_listed_device_gets_in_by_any_of_its_numbers(desk: Office) -> None:
    listed = DeviceDescription(platform="android", imei=IMEI, wifi_mac="00:1a:2b:3c:4d:5e")
    _list(desk, Unlisted.REFUSED, told(listed))
    key = _key(desk)

    assert isinstance(Asker(desk).ask(key, imei=IMEI), Enrolled)
    assert isinstance(Asker(desk).ask(key, wifi_mac="00-1A-2B-3C-4D-5E"), Enrolled)


def test_an_unlisted_device_is_refused_and_hears_what_it_did_not_tell(desk: Office) -> None:
    _list(desk, Unlisted.REFUSED, Identifiers(imei=IMEI))
    key = _key(desk)

    assert "not on the allow-list" in Asker(desk).ask(key, serial="R58N123").reason
    silent = Asker(desk).ask(key, wifi_mac="02:00:00:00:00:00", serial="unknown").reason
    assert "tells nothing" in silent


def test_an_unlisted_device_comes_into_its_group(desk: Office) -> None:
    _list(desk, Unlisted.GROUP, Identifiers(serial="R58N123"))
    phone, key = Asker(desk), _key(desk)

    assert isinstance(phone.ask(key), Enrolled)
    with desk.context.database.reading() as session:
        assert phone.row(session).group_id == UNAUTHORIZED_GROUP


def test_a_claimed_number_takes_over_no_record(desk: Office) -> None:
    _list(desk, Unlisted.REFUSED, Identifiers(imei=IMEI))
    key, owner, thief = _key(desk), Asker(desk), Asker(desk)
    owner.ask(key, imei=IMEI)
    thief.ask(key, imei=IMEI)

    assert thief.device_id != owner.device_id
    with desk.context.database.reading() as session:
        assert owner.row(session).epoch == 1


# --- terms of use ---


def _publish(desk: Office, text: str, ask_again: bool = False) -> int:
    with desk.context.database.transaction("publish") as session:
        body = f"<title>Terms</title><p>{text}</p>".encode()
        return terms.publish(session, body, "", ask_again, "keeper", utc_now()).version


def test_terms_are_shown_before_a_key_is_used(desk: Office) -> None:
    version = _publish(desk, "Be kind.")
    key, phone = desk.invite(), Asker(desk)

    asked = phone.ask(key)
    assert isinstance(asked, AskTerms)
    assert (asked.version, asked.html, asked.enrolment_id) == (
        version, "<p>Be kind.</p>", phone.enrolment_id
    )  # fmt: skip
    with desk.context.database.reading() as session:
        assert queries.list_attempts(session, refused=True) == []
    phone.accepted = version
    assert isinstance(phone.ask(key), Enrolled)
    with desk.context.database.reading() as session:
        row = terms_queries.terms_of(session, phone.device_id)
        assert row is not None
        assert row.accepted_version == version


def test_an_older_version_is_not_enough(desk: Office) -> None:
    _publish(desk, "one")
    newest = _publish(desk, "two")

    asked = Asker(desk, accepted=1).ask(desk.invite())
    assert isinstance(asked, AskTerms)
    assert asked.version == newest


def test_who_has_no_key_sees_no_terms(desk: Office) -> None:
    _publish(desk, "one")

    assert isinstance(Asker(desk).ask("0000-0000"), EnrolmentRefused)


def test_a_new_version_asks_enrolled_devices_once(desk: Office) -> None:
    phone = Asker(desk)
    phone.ask(desk.invite())
    version = _publish(desk, "new", ask_again=True)
    for _ in range(2):
        terms_work.ask(desk.context, {}, lambda said: None)

    asked = [order.body for order in phone.orders() if isinstance(order.body, AskTerms)]
    assert [one.version for one in asked] == [version]
    refused = TermsAnswer(version=version, accepted=False, at=utc_now())
    desk.take(phone.report(refused))
    with desk.context.database.reading() as session:
        row = terms_queries.terms_of(session, phone.device_id)
        assert row is not None
        assert (row.accepted_version, row.refused_version) == (None, version)
        assert terms_queries.count_answers(session) == {version: (0, 1)}
    desk.take(phone.report(replace(refused, accepted=True)))
    with desk.context.database.reading() as session:
        row = terms_queries.terms_of(session, phone.device_id)
        assert row is not None
        assert (row.accepted_version, row.refused_version) == (version, None)


def test_a_version_that_nobody_asked_about_counts_for_nothing(desk: Office) -> None:
    phone = Asker(desk)
    phone.ask(desk.invite())
    desk.take(phone.report(TermsAnswer(version=9, accepted=True, at=utc_now())))

    with desk.context.database.reading() as session:
        assert terms_queries.terms_of(session, phone.device_id) is None


def test_withdrawn_terms_ask_nobody(desk: Office) -> None:
    _publish(desk, "one", ask_again=True)
    with desk.context.database.transaction("withdraw") as session:
        terms.withdraw(session, "keeper", utc_now())

    assert isinstance(Asker(desk).ask(desk.invite()), Enrolled)
