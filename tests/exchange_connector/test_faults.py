"""Undoing, silence of management, and what goes wrong at Exchange."""

import logging
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from click.testing import CliRunner

from exchange_connector import configuration
from exchange_connector.cli import exchange_connector
from exchange_connector.loop import PAUSE_WHEN_REFUSED, Loop, log_as_told
from exchange_connector.settings import Settings
from exchange_connector.sync import Look
from management.mail_access import by_hand, connectors
from management.mail_access.connectors import read_status
from management.mail_access.queries import list_connectors
from management.safety import service as safety
from runtime.clock import utc_now
from tests.exchange_connector.bed import BY, Bed


def two_blocked(bed: Bed) -> None:
    """Two phones are blocked by us, one entry each list is somebody else's."""
    for name in ("ada", "bob"):
        bed.exchange.add_phone(name, f"{name.upper()}1")
    bed.exchange.mailboxes["ada"].blocked.add("FOREIGN")
    bed.exchange.mailboxes["bob"].allowed.add("FOREIGN")
    bed.settings(unmanaged_grace_days=0)
    bed.pair()
    bed.run_pass()
    assert bed.exchange.blocked() >= {("ada", "ADA1"), ("bob", "BOB1")}


def only_foreign_is_left(bed: Bed) -> bool:
    blocked, allowed = bed.exchange.blocked(), bed.exchange.allowed()
    return (blocked, allowed) == ({("ada", "FOREIGN")}, {("bob", "FOREIGN")})


def test_undo_in_the_console_takes_back_exactly_ours_also_while_paused(bed: Bed) -> None:
    two_blocked(bed)
    connector_id = bed.partnership("ADA1").connector_id
    keys = bed.context.keys
    with bed.context.database.transaction("test") as session:
        safety.pause(session, "keeper", "trouble", utc_now())
        by_hand.undo(session, keys, connector_id, True, BY, "a mistake", utc_now())

    outcome = bed.run_pass(look=Look.NOT)
    assert "taken back" in outcome.paused_because
    assert only_foreign_is_left(bed)
    bed.run_pass()
    assert only_foreign_is_left(bed)
    assert bed.partnership("ADA1").applied == "leave"

    with bed.context.database.transaction("test") as session:
        safety.resume(session, "keeper", utc_now())
        by_hand.undo(session, keys, connector_id, False, BY, "repaired", utc_now())
    bed.run_pass(look=Look.NOT)
    assert ("ada", "ADA1") in bed.exchange.blocked()


def test_undo_beside_exchange_works_without_management_until_resume(bed: Bed) -> None:
    two_blocked(bed)
    bed.close()
    bed.console.stop()
    runner = CliRunner(env={"SEKISHO_HOME": str(bed.home)})

    done = runner.invoke(exchange_connector, ["undo"])
    assert done.exception is None, done.output
    assert "is taken back" in done.output
    assert only_foreign_is_left(bed)
    assert "undone       yes" in runner.invoke(exchange_connector, ["status"]).output
    bed.console.start()
    bed.run_pass()
    assert only_foreign_is_left(bed)
    bed.close()
    runner.invoke(exchange_connector, ["resume"])
    bed.run_pass(look=Look.NOT)
    assert ("ada", "ADA1") in bed.exchange.blocked()


def test_undo_beside_exchange_also_works_for_a_disabled_connector(bed: Bed) -> None:
    two_blocked(bed)
    connector_id = bed.partnership("ADA1").connector_id
    with bed.context.database.transaction("test") as session:
        connectors.disable_connector(
            session, bed.context.keys, connector_id, BY, "trouble", utc_now()
        )
    bed.close()
    done = CliRunner(env={"SEKISHO_HOME": str(bed.home)}).invoke(exchange_connector, ["undo"])
    assert done.exception is None, done.output
    assert only_foreign_is_left(bed)


@pytest.mark.parametrize(("chosen", "stays"), [("hold", True), ("open", False)])
def test_after_long_silence_it_does_what_was_chosen(bed: Bed, chosen: str, stays: bool) -> None:
    two_blocked(bed)
    bed.settings(unmanaged_grace_days=0, when_silent=chosen, silent_hours=6)
    bed.run_pass(look=Look.NOT)
    bed.console.stop()
    assert bed.spool

    bed.spool.keep_moment("heard_at", utc_now() - timedelta(hours=5))
    bed.run_pass(look=Look.NOT)
    assert ("ada", "ADA1") in bed.exchange.blocked()
    bed.spool.keep_moment("heard_at", utc_now() - timedelta(hours=7))
    outcome = bed.run_pass(look=Look.NOT)
    assert (("ada", "ADA1") in bed.exchange.blocked()) is stays
    assert ("silent for over 6 h" in outcome.paused_because) is not stays

    bed.console.start()
    bed.run_pass(look=Look.NOT)
    assert ("ada", "ADA1") in bed.exchange.blocked()


def test_one_poisonous_mailbox_costs_one_pass_and_not_all(bed: Bed) -> None:
    for name in ("ada", "bob", "cyd"):
        bed.exchange.add_phone(name, f"{name}1")
        cyd = bed.enrol(f"{name}@corp.test", f"{name}1")
    bed.pair()
    bed.exchange.faults.poisonous.add("ada")

    bed.run_pass()
    for rooted in (True, False):  # decisions change, which tries again whatever failed alone
        bed.say(cyd, rooted=rooted)
        bed.run_pass()
    assert bed.exchange.allowed() == {("bob", "bob1"), ("cyd", "cyd1")}
    bed.exchange.faults.poisonous.clear()
    bed.open()
    bed.run_pass()
    assert ("ada", "ada1") in bed.exchange.allowed()


def test_a_cmdlet_that_did_half_of_its_work_is_read_and_finished(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()
    bed.run_pass()
    bed.say(device, rooted=True)
    bed.exchange.faults.half_done.add("ada")
    bed.run_pass(look=Look.NOT)
    assert bed.exchange.allowed() == bed.exchange.blocked() == set()
    assert "went away" in bed.partnership("ADA1").applied_error

    bed.exchange.faults.half_done.clear()
    bed.open()
    bed.run_pass(look=Look.NOT)
    assert bed.exchange.blocked() == {("ada", "ADA1")}
    assert bed.partnership("ADA1").applied_error == ""


def test_a_foreign_device_with_the_same_id_is_another_phone(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "SAME1")
    bed.exchange.add_phone("eve", "SAME1")
    device = bed.enrol("ada@corp.test", "SAME1")
    bed.pair()
    bed.run_pass()
    assert bed.exchange.allowed() == {("ada", "SAME1")}

    bed.say(device, rooted=True)
    bed.run_pass()
    assert bed.exchange.blocked() == {("ada", "SAME1")}


def test_missing_rights_are_named_with_the_role_that_gives_them(bed: Bed) -> None:
    bed.pair()
    bed.exchange.faults.missing_cmdlets.add("Clear-MobileDevice")
    bed.exchange.faults.missing_parameters.add("Filter")
    runner = CliRunner(env={"SEKISHO_HOME": str(bed.home)})

    said = runner.invoke(exchange_connector, ["selftest"]).output
    assert 'Clear-MobileDevice          Missing: the role "Mail Recipients" gives it.' in said
    assert "Get-MobileDevice            Parameters missing: Filter." in said
    assert "Set-CASMailbox              may be used" in said
    bed.exchange.faults.missing_parameters.clear()
    bed.run_pass()
    with bed.context.database.reading() as session:
        status = read_status(list_connectors(session)[0])
    assert status
    missing = {right.cmdlet for right in status.rights if right.missing}
    assert missing == {"Clear-MobileDevice"}


def test_a_pass_that_fails_unexpectedly_ends_no_process(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.pair()
    sync = bed.open()
    assert bed.spool
    loop = Loop(sync, bed.spool, Settings(folder=bed.folder), Event())
    bed.spool._db.execute("ALTER TABLE mailbox RENAME TO lost")  # a broken spool, as a full disk

    assert loop.step() > 0
    assert loop.act_at > 0
    bed.spool._db.execute("ALTER TABLE lost RENAME TO mailbox")
    loop.act_at = 0
    loop.step()
    assert bed.partnership("ADA1").wanted == "leave"


def test_throttling_is_counted_and_backs_off(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.pair()
    sync = bed.open()
    assert bed.spool
    loop = Loop(sync, bed.spool, Settings(folder=bed.folder), Event())
    bed.exchange.faults.throttled_calls = 1

    loop.step()
    assert sync.throttled_seconds >= 5
    first = len(bed.exchange.calls)
    loop.step()
    assert len(bed.exchange.calls) == first


def test_a_password_that_holds_no_more_is_told_and_not_tried_again_soon(bed: Bed) -> None:
    """Trying it at each pass could lock the account."""
    bed.exchange.add_phone("ada", "ADA1")
    bed.pair()
    bed.run_pass()
    paired, held = configuration.load(bed.folder)
    authority = (bed.folder / configuration.AUTHORITY).read_text()
    ended = replace(held, exchange_password="of last month")
    configuration.save(bed.folder, paired, ended, authority)
    sync = bed.open()
    assert bed.spool
    loop = Loop(sync, bed.spool, Settings(folder=bed.folder, delta_seconds=0.001), Event())

    loop.step()
    assert loop.pause == PAUSE_WHEN_REFUSED
    with bed.context.database.reading() as session:
        (row,) = list_connectors(session)
    assert "password" in row.problem
    before = len(bed.exchange.calls)
    loop.step()
    assert len(bed.exchange.calls) == before


def test_the_log_level_of_the_console_holds_for_an_hour(bed: Bed) -> None:
    paired = bed.pair()
    now = utc_now()
    with bed.context.database.transaction("test") as session:
        connectors.change_log_level(
            session, bed.context.keys, paired.connector_id, "debug", BY, now
        )
    bed.run_pass(look=Look.NOT)
    assert bed.spool
    wanted, _ = bed.spool.wanted()
    root, before = logging.getLogger(), logging.getLogger().level
    try:
        log_as_told(wanted, "INFO", now + timedelta(minutes=59))
        assert root.level == logging.DEBUG
        log_as_told(wanted, "INFO", now + timedelta(minutes=61))
        assert root.level == logging.INFO
    finally:
        root.setLevel(before)
