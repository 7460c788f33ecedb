"""Mail access over real sockets: management, the connector, a stand-in for Exchange."""

from datetime import timedelta

import pytest

from exchange_connector.access_rules import BLOCKED_BY_OTHERS, OVERRIDDEN
from management.mail_access import by_hand, connectors, decisions, queries
from management.mail_access.states import ConnectorState, connector_state
from management.safety import service as safety
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, ForbiddenError, UnauthenticatedError
from tests.exchange_connector.bed import BY, Bed


def test_root_cuts_mail_to_exactly_that_phone_and_mending_gives_it_back(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.add_phone("ada", "ADA2")
    bed.exchange.add_phone("bob", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()

    bed.run_pass()
    assert bed.exchange.allowed() == {("ada", "ADA1")}

    bed.say(device, rooted=True)
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == {("ada", "ADA1")}
    assert bed.exchange.allowed() == set()

    bed.say(device, rooted=False)
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == set()
    assert bed.exchange.allowed() == {("ada", "ADA1")}


def test_the_console_knows_block_reason_and_time(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.run_pass()
    bed.say(device, rooted=True)
    bed.run_pass(discover=False)

    row = bed.partnership("ADA1")
    assert (row.wanted, row.applied, row.applied_error) == ("block", "block", "")
    assert "rule not_rooted: root access found" in row.wanted_because
    assert "policy Standard version 1" in row.wanted_because
    assert row.applied_at is not None
    assert timedelta() <= row.applied_at - row.wanted_since < timedelta(seconds=30)
    assert bed.history("ADA1") == [
        ("wanted", "allow"),
        ("applied", "allow"),
        ("wanted", "block"),
        ("applied", "block"),
    ]


def test_a_second_pass_changes_nothing(bed: Bed) -> None:
    bed.exchange.fill(3, 2)
    bed.enrol("user0@corp.test", "ApplDNQ000000")
    bed.pair()
    bed.run_pass()
    before = len(bed.exchange.called("Set-CASMailbox"))

    again = bed.run_pass()
    assert (before, again.changed, again.waiting) == (1, 0, 0)
    assert bed.history("ApplDNQ000000") == [("wanted", "allow"), ("applied", "allow")]


def test_an_unmanaged_phone_is_blocked_when_its_users_grace_ends(bed: Bed) -> None:
    bed.exchange.add_phone("bob", "BOB1")
    bed.pair()
    bed.run_pass()
    assert bed.partnership("BOB1").wanted == "leave"

    bed.age_grace(13)
    bed.run_pass()
    assert bed.exchange.blocked() == set()

    bed.age_grace(1)
    bed.exchange.add_phone("bob", "BOB2")
    bed.run_pass()
    assert bed.exchange.blocked() == {("bob", "BOB1"), ("bob", "BOB2")}


def test_a_pause_stops_every_change_and_its_end_catches_up(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.run_pass()
    with bed.context.database.transaction("test") as session:
        safety.pause(session, "keeper", "Exchange moves", utc_now())
    bed.say(device, rooted=True)

    paused = bed.run_pass()
    assert "by keeper: Exchange moves" in paused.paused_because
    assert bed.exchange.allowed() == {("ada", "ADA1")}
    assert bed.partnership("ADA1").wanted == "allow"

    with bed.context.database.transaction("test") as session:
        safety.resume(session, "keeper", utc_now())
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == {("ada", "ADA1")}


def test_without_management_the_last_decisions_hold(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.run_pass()
    bed.say(device, rooted=True)
    bed.exchange.faults.outage = True
    assert "does not answer" in bed.run_pass(discover=False).exchange_problem

    bed.console.stop()
    bed.exchange.faults.outage = False
    bed.open()
    down = bed.run_pass(discover=False)
    assert "cannot be reached" in down.management_problem
    assert bed.exchange.blocked() == {("ada", "ADA1")}

    bed.console.start()
    bed.run_pass(discover=False)
    assert bed.partnership("ADA1").applied == "block"
    assert bed.history("ADA1")[-1] == ("applied", "block")


def test_what_an_administrator_changes_at_the_mail_server_is_noticed_and_not_fought(
    bed: Bed,
) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.say(device, rooted=True)
    bed.run_pass()
    bed.exchange.mailboxes["ada"].blocked.clear()

    bed.run_pass()
    bed.run_pass()
    assert bed.exchange.blocked() == set()
    row = bed.partnership("ADA1")
    assert row.overridden_at is not None
    assert row.applied_error == OVERRIDDEN
    assert bed.history("ADA1")[-1] == ("overridden", "block")
    assert sum(event == "overridden" for event, _ in bed.history("ADA1")) == 1

    with bed.context.database.transaction("test") as session:
        by_hand.take_control_again(
            session, bed.context.keys, row.id, BY, "agreed with the mail team", utc_now()
        )
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == {("ada", "ADA1")}
    assert bed.partnership("ADA1").overridden_at is None


def test_a_new_decision_ends_what_was_overridden(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.say(device, rooted=True)
    bed.run_pass()
    bed.exchange.mailboxes["ada"].blocked.clear()
    bed.run_pass()

    bed.say(device, rooted=False)
    bed.run_pass(discover=False)
    assert bed.exchange.allowed() == {("ada", "ADA1")}
    assert bed.partnership("ADA1").overridden_at is None
    bed.say(device, rooted=True)
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == {("ada", "ADA1")}


def test_an_entry_that_is_not_seen_at_once_is_not_taken_for_overridden(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.settling_seconds = 3600
    bed.say(device, rooted=True)
    bed.run_pass()
    bed.exchange.mailboxes["ada"].blocked.clear()

    bed.run_pass()
    assert bed.exchange.blocked() == {("ada", "ADA1")}
    assert bed.partnership("ADA1").overridden_at is None


def test_entries_of_others_stay_and_are_told(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.mailboxes["ada"].blocked |= {"ADA1", "OTHER"}
    bed.enrol("ada@corp.test", "ADA1")
    bed.pair()

    bed.run_pass()
    bed.run_pass()
    assert bed.exchange.blocked() == {("ada", "ADA1"), ("ada", "OTHER")}
    assert bed.partnership("ADA1").applied_error == BLOCKED_BY_OTHERS
    assert bed.history("ADA1") == [("wanted", "allow"), ("overridden", "allow")]
    assert bed.partnership("ADA1").overridden_at is not None

    bed.exchange.mailboxes["ada"].blocked.discard("ADA1")
    bed.run_pass()
    assert bed.partnership("ADA1").applied_error == ""


def test_one_mailbox_that_fails_does_not_stop_the_others(bed: Bed) -> None:
    for name in ("ada", "bob", "cyd"):
        bed.exchange.add_phone(name, f"{name}1")
        bed.enrol(f"{name}@corp.test", f"{name}1")
    bed.exchange.faults.refused_mailboxes.add("bob")
    bed.pair()

    outcome = bed.run_pass()
    assert outcome.exchange_problem == ""
    assert bed.exchange.allowed() == {("ada", "ada1"), ("cyd", "cyd1")}
    assert "Insufficient access rights" in bed.partnership("bob1").applied_error
    assert outcome.waiting == 1

    bed.exchange.faults.refused_mailboxes.clear()
    bed.open()
    bed.run_pass()
    assert bed.partnership("bob1").applied_error == ""
    assert ("bob", "bob1") in bed.exchange.allowed()


def test_throttling_ends_the_pass_and_the_next_one_goes_on(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.exchange.faults.throttled_calls = 1

    assert "asks for a pause" in bed.run_pass().exchange_problem
    assert bed.run_pass().exchange_problem == ""
    assert bed.exchange.allowed() == {("ada", "ADA1")}


def test_a_partnership_that_is_gone_leaves_its_block_behind(bed: Bed) -> None:
    phone = bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.say(device, rooted=True)
    bed.run_pass()
    del bed.exchange.phones[phone.identity]

    bed.run_pass()
    assert bed.partnership("ADA1").gone_at is not None
    assert bed.exchange.blocked() == {("ada", "ADA1")}


def test_the_brake_holds_blocks_beyond_the_limit_until_they_are_confirmed(bed: Bed) -> None:
    bed.exchange.fill(6)
    bed.pair()
    bed.settings(unmanaged_grace_days=0, block_limit=2, block_limit_percent=0)

    bed.run_pass()
    bed.run_pass()
    assert len(bed.exchange.blocked()) == 2
    with bed.context.database.transaction("test") as session:
        held = queries.list_held(session)
        assert len(held) == 4
        assert decisions.confirm_held(session, held[:1], "keeper", utc_now()) == 1

    bed.run_pass()
    assert len(bed.exchange.blocked()) == 3
    assert bed.history(held[0].exchange_device_id)[:2] == [
        ("held", "block"),
        ("confirmed", "block"),
    ]


def test_a_match_by_hand_decides_and_can_be_undone(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ODD1")
    device = bed.enrol("ada@corp.test", "")
    bed.pair()
    bed.run_pass()
    row = bed.partnership("ODD1")
    keys = bed.context.keys

    with bed.context.database.transaction("test") as session:
        by_hand.match_by_hand(session, keys, row.id, device, BY, "saw the phone", utc_now())
    bed.run_pass(discover=False)
    assert bed.exchange.allowed() == {("ada", "ODD1")}

    with bed.context.database.transaction("test") as session:
        by_hand.match_by_hand(session, keys, row.id, None, BY, "a mistake", utc_now())
    bed.run_pass(discover=False)
    assert bed.exchange.allowed() == set()


def test_a_disabled_connector_stops_acting(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    paired = bed.pair()
    bed.run_pass()
    bed.say(device, rooted=True)
    with bed.context.database.transaction("test") as session:
        connectors.disable_connector(
            session, bed.context.keys, paired.connector_id, BY, "trial", utc_now()
        )

    outcome = bed.run_pass()
    assert not outcome.may_act
    assert "is disabled" in outcome.management_problem
    assert bed.exchange.blocked() == set()


def test_management_sees_how_the_connector_stands(bed: Bed) -> None:
    paired = bed.pair()
    bed.exchange.faults.outage = True
    bed.run_pass()

    with bed.context.database.reading() as session:
        row = queries.get_connector(session, paired.connector_id)
    assert "does not answer properly" in row.problem
    state = connector_state(row.disabled_at, row.contact_at, utc_now())
    assert state is ConnectorState.NORMAL


# --- pairing ---


def test_a_code_works_once(bed: Bed) -> None:
    code = bed.code()
    bed.pair(code)
    (bed.folder / "connector.toml").unlink()

    with pytest.raises(UnauthenticatedError, match="unknown, used or older"):
        bed.pair(code)


def test_a_code_that_names_another_authority_is_not_sent(bed: Bed) -> None:
    secret = bed.code().partition(".")[0]

    with pytest.raises(ForbiddenError, match="nothing was sent"):
        bed.pair(f"{secret}.{'A' * 43}")
    assert not (bed.folder / "connector.toml").exists()
    with pytest.raises(ConfigurationError, match="no fingerprint"):
        bed.pair(secret)


def test_many_wrong_codes_are_no_longer_heard(bed: Bed) -> None:
    fingerprint = bed.code().partition(".")[2]
    for _ in range(10):
        with pytest.raises(UnauthenticatedError):
            bed.pair(f"WRONGWRONGWRONG2.{fingerprint}")

    with pytest.raises(Exception, match="Wait a minute"):
        bed.pair()


def test_secrets_lie_sealed_and_for_us_alone(bed: Bed) -> None:
    bed.pair()

    for path in bed.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert b"secret" not in path.read_bytes().replace(b"secret.key", b"")
    assert bed.folder.stat().st_mode & 0o077 == 0
    (bed.folder / "secret.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        bed.open()
