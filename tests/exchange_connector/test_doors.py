"""Other doors to a mailbox: closed with a block, and put back exactly as they were."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.connector import Door
from exchange_connector.door_book import intended
from exchange_connector.door_rules import DoorState, plan_doors
from management.mail_access import dry_run, queries
from management.mail_access.connectors import read_status
from management.mail_access.rules import MailSettings
from runtime.clock import utc_now
from tests.exchange_connector.bed import Bed

CLOSABLE: tuple[Door, ...] = ("ews", "imap", "mapi", "owa", "pop")
doors = st.frozensets(st.sampled_from(CLOSABLE))


def blocked(bed: Bed) -> None:
    """Ada's only phone is blocked, with IMAP and EWS closed beside it."""
    bed.exchange.add_phone("ada", "ADA1")
    ada = bed.exchange.mailboxes["ada"]
    ada.closed.add("OWAEnabled")
    ada.unset.add("EwsEnabled")
    bed.settings(unmanaged_grace_days=0, close_doors=("imap", "ews", "owa"))
    bed.pair()
    bed.run_pass()
    assert ada.closed == {"ImapEnabled", "EwsEnabled", "OWAEnabled"}
    assert bed.partnership("ADA1").closed_doors == "ews imap"


def test_the_end_of_the_block_puts_back_exactly_what_was_found(bed: Bed) -> None:
    blocked(bed)
    bed.settings(block_unmanaged=False, close_doors=("imap", "ews", "owa"))
    bed.decide_everything()

    bed.run_pass(discover=False)
    ada = bed.exchange.mailboxes["ada"]
    assert (ada.closed, ada.unset) == ({"OWAEnabled"}, {"EwsEnabled"})
    assert bed.partnership("ADA1").closed_doors == ""
    assert bed.spool and bed.spool.doors.all() == {}


def test_a_door_opened_by_hand_is_not_fought_and_is_told(bed: Bed) -> None:
    blocked(bed)
    ada = bed.exchange.mailboxes["ada"]
    ada.closed.discard("ImapEnabled")

    bed.run_pass()
    calls = len(bed.exchange.called("Set-CASMailbox"))
    bed.run_pass()
    assert "ImapEnabled" not in ada.closed
    assert len(bed.exchange.called("Set-CASMailbox")) == calls
    row = bed.partnership("ADA1")
    assert (row.closed_doors, row.reopened_doors) == ("ews", "imap")
    assert bed.history("ADA1").count(("doors", "")) == 2


def test_another_choice_of_doors_acts_on_blocks_that_hold(bed: Bed) -> None:
    blocked(bed)
    bed.settings(unmanaged_grace_days=0, close_doors=("pop",))
    bed.run_pass(discover=False)
    ada = bed.exchange.mailboxes["ada"]
    assert ada.closed == {"OWAEnabled", "PopEnabled"}
    assert bed.partnership("ADA1").closed_doors == "pop"
    changes = len(bed.exchange.called("Set-CASMailbox"))
    bed.run_pass()
    assert len(bed.exchange.called("Set-CASMailbox")) == changes


def test_the_dry_run_names_the_doors_that_would_close(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.mailboxes["ada"].closed.add("PopEnabled")
    bed.pair()
    bed.run_pass()
    chosen = MailSettings(unmanaged_grace_days=0, automatic=True, close_doors=("imap", "pop"))
    with bed.context.database.reading() as session:
        (found,) = dry_run.preview(session, chosen, utc_now())
    assert found.doors == ("imap",)


def test_a_role_that_cannot_close_doors_is_told_by_the_self_test(bed: Bed) -> None:
    bed.exchange.faults.missing_parameters = {"ImapEnabled"}
    bed.settings()
    paired = bed.pair()
    bed.run_pass()
    bed.settings(close_doors=("imap", "pop"))
    bed.run_pass()
    with bed.context.database.reading() as session:
        status = read_status(queries.get_connector(session, paired.connector_id))
    assert status
    missing = {right.cmdlet: right.missing for right in status.rights if right.missing}
    assert "Parameters missing: ImapEnabled" in missing["Set-CASMailbox"]


@given(doors, doors, doors, doors)
def test_closing_and_opening_again_changes_nothing_and_twice_is_once(
    close: frozenset[Door],
    open_now: frozenset[Door],
    unset: frozenset[Door],
    others: frozenset[Door],
) -> None:
    unset &= open_now
    planned = plan_doors(close, "1", open_now, unset, DoorState())
    now_open = open_now - {door for door, to in planned.change.items() if to is False}
    assert now_open == open_now - close
    assert plan_doors(close, "1", now_open, unset, planned.after).change == {}

    back = plan_doors(frozenset(), "", now_open, unset - close, planned.after)
    assert back.change.keys() == close & open_now
    assert {door for door, to in back.change.items() if to is None} == close & unset
    assert back.after.ours == {}


@given(doors, doors, doors)
def test_what_somebody_opens_stays_open_until_the_next_decision(
    close: frozenset[Door], open_now: frozenset[Door], opened: frozenset[Door]
) -> None:
    planned = plan_doors(close, "1", open_now, frozenset(), DoorState())
    by_hand = opened & planned.after.ours.keys()
    seen = (open_now - close) | by_hand
    again = plan_doors(close, "1", seen, frozenset(), planned.after)
    assert again.change == {}
    assert again.after.reopened == by_hand
    assert plan_doors(close, "2", seen, frozenset(), again.after).change.keys() == by_hand


@given(doors, doors, doors, st.booleans())
def test_a_death_around_the_call_forgets_nothing_that_is_put_back(
    close: frozenset[Door], open_now: frozenset[Door], unset: frozenset[Door], made: bool
) -> None:
    unset &= open_now
    planned = plan_doors(close, "1", open_now, unset, DoorState())
    left = intended(DoorState(), planned.after.ours)
    seen = open_now - close if made else open_now
    again = plan_doors(close, "1", seen, unset & seen, left)
    assert again.after.ours == planned.after.ours
    assert again.change == ({} if made else planned.change)
